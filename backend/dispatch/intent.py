"""Makes the intent of a job: its key, its folders and its command."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from backend.dispatch.folders import job_folder
from backend.dispatch.recipe import Recipe
from backend.frames import SeriesInfo
from backend.ledger_rows import JobIntent
from backend.settings import DispatchSettings

_READABLE_CHARACTERS = 80


def make_intent(
    recipe: Recipe,
    info: SeriesInfo,
    frames: int | None,
    *,
    attempt: int,
    python: str,
    results: Path,
    beamtime: Path,
    settings: DispatchSettings,
    settings_file: Path | None,
    at: float,
) -> JobIntent:
    """Intent to run a recipe on a series, its result going to the folder ``results``.

    ``python`` is the interpreter that has this program where the job will run.

    Raises
    ------
    DispatchError
        The command needs something that this series does not have.
    """
    results = results.absolute()
    job_id = job_key(info.name, info.detector.name, recipe, attempt)
    part_path = results / f".part-{job_id}.h5"
    values = {
        "master": _text(info.master),
        "result": str(part_path),
        "beamtime": _text(beamtime),
        "frames": None if frames is None else str(frames),
        "series": info.name,
        "python": python,
        "settings": _text(settings_file),
    }
    limits = [limit for limit in (settings.time_limit_s, recipe.time_limit_s) if limit is not None]
    return JobIntent(
        job_id=job_id,
        series=info.name,
        detector=info.detector.name,
        recipe=recipe.name,
        recipe_sha256=recipe.text_sha256,
        attempt=attempt,
        retries_left=recipe.retries,
        executor=recipe.executor,
        command=recipe.fill(values),
        folder=job_folder(results, job_id),
        part_path=part_path,
        result_path=_result_path(results, info.name, recipe.name, job_id, may_have_usual_name=attempt == 1),
        time_limit_s=min(limits),
        nice=settings.nice,
        submitted_at=at,
    )


def next_attempt(failed: JobIntent, at: float, attempt: int | None = None) -> JobIntent:
    """The same wish once more under its own key, one retry less left; ``attempt`` is the next number if not given."""
    attempt = failed.attempt + 1 if attempt is None else attempt
    job_id = f"{failed.job_id.rpartition('-')[0]}-{attempt}"
    results = failed.part_path.parent
    part_path = results / f".part-{job_id}.h5"
    return replace(
        failed,
        job_id=job_id,
        attempt=attempt,
        retries_left=max(0, failed.retries_left - 1),
        command=tuple(argument.replace(str(failed.part_path), str(part_path)) for argument in failed.command),
        folder=job_folder(results, job_id),
        part_path=part_path,
        result_path=_result_path(results, failed.series, failed.recipe, job_id, may_have_usual_name=True),
        submitted_at=at,
    )


def job_key(series: str, detector: str, recipe: Recipe, attempt: int) -> str:
    """Key of a job, fit for a file name and a scheduler's job name; the same wish always gives the same key."""
    wish = "\0".join((series, detector, recipe.name, recipe.text_sha256))
    digest = hashlib.sha256(wish.encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9_.]", "_", series).lstrip(".")[:_READABLE_CHARACTERS]
    return f"{readable}-{recipe.name}-{digest}-{attempt}"


def _text(path: Path | None) -> str | None:
    # The job runs in its own folder, so its paths must not depend on where the backend was started.
    return None if path is None else str(path.absolute())


def _result_path(results: Path, series: str, recipe: str, job_id: str, *, may_have_usual_name: bool) -> Path:
    # An earlier result is never replaced: a further job on the same series writes under a name of its own.
    usual = results / f"{series}_{recipe}_results.h5"
    return usual if may_have_usual_name and not usual.exists() else results / f"{job_id}_results.h5"
