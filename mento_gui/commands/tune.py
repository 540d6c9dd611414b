"""``mento-gui tune``: what other settings would have said about stored series, and how often they would be wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.damage_tuning import SeriesComparison, Shift, TuningProgress, TuningSum
    from backend.false_alarm_rate import FalseAlarms, UndamagedSeries
    from backend.frames import SourceNotice
    from backend.settings import Settings

_EPILOG = """
\b
Examples:
  mento-gui tune --on /gpfs/current/raw/gel_00012 --set damage.structure_tolerance_percent=3
  mento-gui tune --on /gpfs/current/raw --set rings.count=20 --nulls 100 --json
"""


@click.command("tune", epilog=_EPILOG)
@click.option(
    "--on", "paths", multiple=True, required=True, type=click.Path(exists=True, path_type=Path), metavar="SERIES",
    help="Master file, series folder, or a folder with many series; may be given several times.",
)  # fmt: skip
@click.argument("more_paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[SERIES...]")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE",
    help="A setting to change, as in the settings file: damage.window_frames=16. May be given several times.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="The present settings as TOML.",
)  # fmt: skip
@click.option(
    "--nulls", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
    help="Undamaged series to simulate like each one, to count false alarms.",
)  # fmt: skip
@click.option(
    "--pixels", type=click.IntRange(min=1), default=None, metavar="N",
    help="Simulate at most N pixels per ring, which is faster but noisier than the series was. Default: all.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option(
    "--progress", "with_progress", is_flag=True, help="With --json: further lines say how far it is."
)
def tune(
    paths: tuple[Path, ...],
    more_paths: tuple[Path, ...],
    changes: tuple[str, ...],
    settings_file: Path | None,
    nulls: int,
    pixels: int | None,
    as_json: bool,
    with_progress: bool,
) -> None:
    """Replay stored series with the present and with changed settings; print what would change.

    Nothing is stored: to keep the changes, write them into the settings file.
    """
    from backend.damage_tuning import tune as tuned_series
    from backend.damage_tuning import tuning_sum
    from backend.errors import FeedbackError
    from backend.settings import load_settings
    from backend.settings_changes import with_changes

    say = _Printer(as_json, with_progress)
    comparisons = []
    try:
        before = load_settings(settings_file)
        after = with_changes(before, changes)
        for one in tuned_series(
            [*paths, *more_paths], before, after, say.notice,
            with_undamaged=nulls > 0, most_pixels_per_ring=pixels, progress=say.progress,
        ):  # fmt: skip
            comparisons.append(one.comparison)
            say.comparison(one.comparison)
            if one.not_simulated:
                click.echo(one.not_simulated, err=True)
            if one.undamaged is not None:
                say.false_alarms(one.undamaged.name, _simulated(one.undamaged, after, nulls, say))
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    if not comparisons:
        raise click.ClickException("No series could be read with both settings.")
    say.in_sum(tuning_sum(comparisons))


def _simulated(undamaged: UndamagedSeries, settings: Settings, nulls: int, say: _Printer) -> FalseAlarms:
    from backend.damage_tuning import TuningProgress
    from backend.false_alarm_rate import false_alarms, judge_many_undamaged

    outcomes = []
    simulated = judge_many_undamaged(undamaged, settings.damage, nulls)
    with click.progressbar(
        simulated, length=nulls, label="undamaged series", file=sys.stderr, hidden=say.with_progress
    ) as bar:
        for outcome in bar:
            outcomes.append(outcome)
            doing = f"Simulating {nulls} undamaged series like {undamaged.name}"
            say.progress(TuningProgress(doing, len(outcomes) / nulls))
    return false_alarms(undamaged, outcomes)


class _Printer:
    """Words or JSON lines on standard output, notices on standard error."""

    def __init__(self, as_json: bool, with_progress: bool) -> None:
        self._as_json = as_json
        self.with_progress = as_json and with_progress
        self._told: set[str] = set()

    def progress(self, found: TuningProgress) -> None:
        if self.with_progress:
            self._object("progress", doing=found.doing, share=found.share)

    def comparison(self, compared: SeriesComparison) -> None:
        before, after = compared.before, compared.after
        if self._as_json:
            flags = {"alarm_gained": compared.alarm_gained, "alarm_lost": compared.alarm_lost}
            self._object(
                "series",
                before=before,
                after=after,
                watch=compared.watch,
                damaging=compared.damaging,
                **flags,
            )
            return
        frames = f"{after.frames} frames"
        if after.frame_time_s is not None:
            frames += f", {after.frames * after.frame_time_s:.3g} s"
        gained = "; alarm gained" if compared.alarm_gained else ""
        lost = "; alarm lost" if compared.alarm_lost else ""
        click.echo(f"{after.series} ({frames}): {before.state} -> {after.state}{gained}{lost}")
        click.echo(f"  first WATCH or worse: {_shift(compared.watch)}")
        click.echo(f"  first DAMAGING: {_shift(compared.damaging)}")
        if before.why != after.why:
            click.echo(f"  before: {before.why}")
            click.echo(f"  after: {after.why}")

    def false_alarms(self, series: str, found: FalseAlarms) -> None:
        if self._as_json:
            self._object("false_alarms", series=series, false_alarms=found)
            return
        low, high = found.share_bounds
        low_rate, high_rate = found.per_100_h_bounds
        click.echo(
            f"  undamaged series like it: {found.alarms} of {found.series} called DAMAGING "
            f"({100 * low:.2g} to {100 * high:.2g} %), {found.watched} once WATCH, {found.told} with a verdict"
        )
        click.echo(
            f"  false alarms per 100 h of exposure: {found.per_100_h:.3g} "
            f"({low_rate:.3g} to {high_rate:.3g}, 95 %; {found.series * found.exposure_s / 3600:.3g} h simulated"
            f"{_part(found.pixels_used)})"
        )

    def in_sum(self, found: TuningSum) -> None:
        if self._as_json:
            self._object("sum", sum=found)
            return
        click.echo(
            f"In sum: {found.series} series, verdict changed in {found.verdicts_changed}; alarms gained "
            f"{found.alarms_gained}, lost {found.alarms_lost}, earlier {found.alarms_earlier}, later "
            f"{found.alarms_later}."
        )

    def notice(self, notice: SourceNotice) -> None:
        """Say each once, though the files are read twice."""
        words = " ".join(part for part in (notice.what, notice.still_works, notice.try_this) if part)
        if notice.what and words not in self._told:
            self._told.add(words)
            click.echo(words, err=True)

    def _object(self, event: str, **parts: Any) -> None:
        import msgspec

        click.echo(json.dumps({"event": event, **msgspec.to_builtins(parts, enc_hook=str)}))


def _part(pixels_used: float) -> str:
    return "" if pixels_used == 1 else f" with {100 * pixels_used:.2g} % of the pixels"


def _shift(shift: Shift) -> str:
    before, after = ("never" if f is None else f"frame {f}" for f in (shift.before_frame, shift.after_frame))
    if before == after:
        return before
    if shift.frames is None:
        return f"{before} -> {after}"
    seconds = "" if shift.seconds is None else f", {shift.seconds:+.3g} s"
    return f"{before} -> {after} ({shift.frames:+d} frames{seconds})"
