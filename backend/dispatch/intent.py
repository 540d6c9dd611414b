"""Makes the intent of a job: its key, its folders and its command."""

from __future__ import annotations

import glob
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from backend.dispatch.folders import RESULT_ENDING, job_folder
from backend.dispatch.job_command import output_folder
from backend.dispatch.job_tasks import task_values
from backend.dispatch.recipe import Recipe
from backend.frames import SeriesInfo
from backend.ledger_rows import JobIntent
from backend.settings import DispatchSettings

_READABLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereJobRuns:
    """What an intent takes from the place where the job will run, not from recipe and series.

    Attributes
    ----------
    python : str
        Interpreter that has this program there.
    results : Path
        Folder for the result.
    beamtime : Path
        Folder of the beamtime.
    settings : DispatchSettings
        Limits.
    settings_file : Path or None
        Settings of the live analysis.
    """

    python: str
    results: Path
    beamtime: Path
    settings: DispatchSettings
    settings_file: Path | None


def make_intent(
    recipe: Recipe, info: SeriesInfo, frames: int | None, where: WhereJobRuns, *, attempt: int, at: float
) -> JobIntent:
    """Intent to run a recipe on a series.

    Raises
    ------
    DispatchError
        The command needs something that this series does not have.
    """
    # A recipe that runs again and again on a series has one wish for each number of frames.
    again = recipe.when != "series-ended"
    job_id = job_key(info.name, info.detector.name, recipe, attempt, frames if again else None)
    usual = attempt == 1 and not again
    result_path = _result_path(where.results.absolute(), info.name, recipe.name, job_id, usual)
    intent = _intent(recipe, job_id, info.name, info, frames, where, result_path, at)
    return replace(intent, attempt=attempt)


def make_command_intent(
    recipe: Recipe, token: str, info: SeriesInfo | None, frames: int | None, where: WhereJobRuns, *, at: float
) -> JobIntent:
    """Intent to run the recipe that was made of a person's command; the same token always gives the same key.

    Raises
    ------
    DispatchError
        The command needs something of a series, and there is none or it lacks that.
    """
    job_id = command_key(recipe, token)
    series = recipe.name if info is None else info.name
    result_path = where.results.absolute() / f"{job_id}{RESULT_ENDING}"
    return _intent(recipe, job_id, series, info, frames, where, result_path, at)


def _intent(
    recipe: Recipe,
    job_id: str,
    series: str,
    info: SeriesInfo | None,
    frames: int | None,
    where: WhereJobRuns,
    result_path: Path,
    at: float,
) -> JobIntent:
    results = result_path.parent
    folder = job_folder(results, job_id)
    part_path = results / f".part-{job_id}.h5"
    values: dict[str, str | None] = {
        "result": str(part_path),
        "output": str(output_folder(folder)),
        **task_values(recipe.resources.array, folder),
        **_values_of_place(where),
        **({} if info is None else _series_values(info, frames)),
    }
    limits = [limit for limit in (where.settings.time_limit_s, recipe.time_limit_s) if limit is not None]
    return JobIntent(
        job_id=job_id,
        series=series,
        detector="" if info is None else info.detector.name,
        recipe=recipe.name,
        recipe_sha256=recipe.text_sha256,
        attempt=1,
        retries_left=recipe.retries,
        executor=recipe.executor,
        command=recipe.fill(values),
        folder=folder,
        part_path=part_path,
        result_path=result_path,
        time_limit_s=min(limits),
        nice=where.settings.nice,
        submitted_at=at,
        plan=recipe.plan(values),
    )


def _values_of_place(where: WhereJobRuns) -> dict[str, str | None]:
    return {
        "beamtime": _text(where.beamtime),
        "python": where.python,
        "settings": _text(where.settings_file),
    }


def _series_values(info: SeriesInfo, frames: int | None) -> dict[str, str | None]:
    return {
        "master": _text(info.master),
        "folder": _text(info.folder),
        "frames": None if frames is None else str(frames),
        "series": info.name,
        "sample": info.sample,
        "detector": info.detector.name,
    }


def next_attempt(failed: JobIntent, at: float, attempt: int | None = None) -> JobIntent:
    """The same wish once more under its own key, one retry less left; ``attempt`` is the next number if not given."""
    attempt = failed.attempt + 1 if attempt is None else attempt
    job_id = f"{failed.job_id.rpartition('-')[0]}-{attempt}"
    results = failed.part_path.parent
    part_path = results / f".part-{job_id}.h5"
    folder = job_folder(results, job_id)

    def renewed(text: str) -> str:
        return text.replace(str(failed.part_path), str(part_path)).replace(str(failed.folder), str(folder))

    values = {name: renewed(value) for name, value in failed.plan.values.items()}
    return replace(
        failed,
        job_id=job_id,
        attempt=attempt,
        retries_left=max(0, failed.retries_left - 1),
        command=tuple(map(renewed, failed.command)),
        folder=folder,
        part_path=part_path,
        result_path=_result_path(results, failed.series, failed.recipe, job_id, True),
        submitted_at=at,
        plan=replace(failed.plan, values=values),
    )


def job_key(series: str, detector: str, recipe: Recipe, attempt: int, frames: int | None = None) -> str:
    """Key of a job, fit for a file name and a scheduler's job name; the same wish always gives the same key.

    ``frames`` is a part of the wish where a recipe runs again and again on the same series.
    """
    on = () if frames is None else (f"{frames} frames",)
    wish = "\0".join((series, detector, recipe.name, recipe.text_sha256, *on))
    digest = hashlib.sha256(wish.encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9_.]", "_", series).lstrip(".")[:_READABLE_CHARACTERS]
    return f"{readable}-{recipe.name}-{digest}-{attempt}"


def command_key(recipe: Recipe, token: str) -> str:
    """Key of a person's command: whoever asks again with the same token, because no answer came, means the same job."""
    return f"{recipe.name}-command-{hashlib.sha256(token.encode()).hexdigest()[:12]}-1"


def _text(path: Path | None) -> str | None:
    # The job runs in its own folder, so its paths must not depend on where the backend was started.
    return None if path is None else str(path.absolute())


def _result_path(results: Path, series: str, recipe: str, job_id: str, may_be_usual: bool) -> Path:
    # An earlier result is never replaced: a further job on the same series writes under a name of its own. The names
    # of all its outputs begin like this one.
    usual = f"{series}_{recipe}"
    taken = any(results.glob(f"{glob.escape(usual)}_*"))
    return results / f"{usual if may_be_usual and not taken else job_id}{RESULT_ENDING}"
