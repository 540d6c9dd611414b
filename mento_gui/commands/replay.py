"""``mento-gui replay``: recorded series through the same analysis and verdict as live ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.frames import SourceNotice
    from backend.series_run import SeriesRun
    from backend.snapshot import Verdict

_EPILOG = """
\b
Examples:
  mento-gui replay /gpfs/current/raw/mysample_00012
  mento-gui replay /gpfs/current/raw --json > verdicts.jsonl
"""


class _Speed(click.ParamType):
    name = "X"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        if value == "max":
            return math.inf
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not speed > 0:
            self.fail(f"{value} is neither a positive number nor 'max'", param, context)
        return speed


@click.command("replay", epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH..."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option(
    "--speed", type=_Speed(), default="max", show_default=True,
    help="1 = as fast as it was measured, 10 = ten times faster, max = as fast as possible.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML.",
)  # fmt: skip
def replay(paths: tuple[Path, ...], as_json: bool, speed: float, settings_file: Path | None) -> None:
    """Feed recorded series through the live analysis; print each verdict change and a summary per series.

    PATH is a master file, a series folder, or a folder with many series.
    """
    from backend.acquisition.paced_source import PacedSource
    from backend.acquisition.recorded_series import RecordedSeries
    from backend.errors import FeedbackError
    from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceNotice
    from backend.series_run import SeriesRun
    from backend.settings import load_settings

    try:
        settings = load_settings(settings_file)
        say = _Printer(as_json, settings.sha256)
        source = PacedSource(RecordedSeries(list(paths), settings), speed)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    run: SeriesRun | None = None
    judged = 0
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SourceNotice):
                say.notice(event)
            elif isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, settings)
            elif run is not None and isinstance(event, FrameBatch):
                say.changes(run.add(event))
            elif run is not None and isinstance(event, SeriesEnded):
                say.changes(run.end(event))
                say.oddities(run)
                say.summary(run)
                judged += 1
    if judged == 0:
        raise click.ClickException("No series could be read.")


class _Printer:
    """Words or JSON lines on standard output, notices on standard error."""

    def __init__(self, as_json: bool, settings_sha256: str) -> None:
        self._as_json = as_json
        self._settings_sha256 = settings_sha256

    def changes(self, verdicts: list[Verdict]) -> None:
        import msgspec

        for verdict in verdicts:
            if self._as_json:
                said = msgspec.to_builtins(verdict)
                click.echo(json.dumps({"event": "verdict", **said, "settings_sha256": self._settings_sha256}))
            else:
                click.echo(f"{verdict.series} frame {verdict.frame}: {verdict.state}. {verdict.why}")

    def summary(self, run: SeriesRun) -> None:
        import msgspec

        if self._as_json:
            fits, law = [], None
            result = run.analysis.g2()
            if result is not None and run.analysis.rings is not None:
                q_inv_nm = run.analysis.rings.partition.q_inv_nm.tolist()
                found = run.analysis.fitted(result)
                if found is not None:
                    law = msgspec.to_builtins(found.law)
                    fits = [
                        {"q_inv_nm": q, "fit": msgspec.to_builtins(fit), "reason": reason}
                        for q, fit, reason in zip(
                            q_inv_nm, found.rings.fits, found.rings.reasons, strict=True
                        )
                    ]
            row = msgspec.to_builtins(run.row())
            aside = run.analysis.set_aside.number
            summary = {
                "event": "summary",
                **row,
                "frames_set_aside": aside,
                "grounds": msgspec.to_builtins(run.verdict.grounds),
                "settings_sha256": self._settings_sha256,
                "fits": fits,
                "rate_law": law,
            }
            click.echo(json.dumps(summary))
        else:
            click.echo(
                f"{run.info.name}: {run.verdict.state}. {run.verdict.why} "
                f"({run.analysis.frames} frames, {run.status}: {run.end_reason})"
            )

    def oddities(self, run: SeriesRun) -> None:
        """What was odd in the description, the frames and the pixels, and how many frames could not be used."""
        from backend.series_notices import series_notices

        plan = run.analysis.plan
        found = run.analysis.set_aside
        aside = (
            [f"{found.number} frames are set aside; the first: {found.first_reason}."] if found.number else []
        )
        later = [notice.what for notice in series_notices(run.analysis) if notice.what]
        for words in (*(run.info.notices if plan is None else plan.notices), *later, *aside):
            click.echo(f"{run.info.name}: {words}", err=True)

    def notice(self, notice: SourceNotice) -> None:
        if notice.what:
            sentences = (notice.what, notice.still_works, notice.try_this)
            click.echo(" ".join(part for part in sentences if part), err=True)
