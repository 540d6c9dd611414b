"""``mento-gui measure-systematics``: slow drifts of the shape of I(q), from series whose sample does not change."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.frames import SourceNotice
    from backend.systematics_reference import MeasuredSystematics

_EPILOG = """
\b
Examples:
  mento-gui measure-systematics --on /gpfs/current/raw/water_00003
  mento-gui measure-systematics --on /gpfs/current/raw/silica_00001 --settings p10.toml --write
"""


@click.command("measure-systematics", epilog=_EPILOG)
@click.option(
    "--on", "paths", multiple=True, required=True, type=click.Path(exists=True, path_type=Path), metavar="SERIES",
    help="Master file, series folder, or a folder with many series; may be given several times.",
)  # fmt: skip
@click.argument("more_paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[SERIES...]")
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="The present settings as TOML.",
)  # fmt: skip
@click.option(
    "--write", is_flag=True, help="Write the numbers into the settings file, with where they come from."
)
@click.option(
    "--author",
    default=None,
    metavar="NAME",
    help="Who has measured, for the settings file. Default: the login.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def measure_systematics(
    paths: tuple[Path, ...],
    more_paths: tuple[Path, ...],
    settings_file: Path | None,
    write: bool,
    author: str | None,
    as_json: bool,
) -> None:
    """Measure how far the shape of I(q) wanders by itself: beam position, background, detector.

    SERIES are of a static sample or of water, measured like the samples. The damage verdict allows for what is found
    (systematic_rms_percent and systematic_time_s in section [damage] of the settings).
    """
    from backend.errors import FeedbackError
    from backend.settings import load_settings
    from backend.settings_changes import write_into_file
    from backend.systematics_reference import measure_on

    if write and settings_file is None:
        raise click.UsageError("--write needs the settings file: --settings FILE")
    try:
        settings = load_settings(settings_file if settings_file is None or settings_file.exists() else None)
        measured = measure_on([*paths, *more_paths], settings, _notice)
        changes = measured.changes(settings.damage)
        click.echo(_as_json(measured, changes) if as_json else _words(measured))
        if write and changes and settings_file is not None:
            provenance = _provenance(measured, author or getpass.getuser())
            write_into_file(settings_file, {"damage": changes}, provenance)
            click.echo(f"Written into {settings_file}: {_assignments(changes)}.", err=as_json)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    if measured.problem:
        raise click.ClickException(measured.problem)
    if not changes:
        present = settings.damage.systematic_rms_percent
        click.echo(
            f"These series cannot say more than the present setting, {present:g} %: it stays.", err=as_json
        )
    elif not write:
        click.echo(
            f"For section [damage] of the settings: {_assignments(changes)}. --write does it.", err=as_json
        )


def _words(measured: MeasuredSystematics) -> str:
    found = measured.found
    lines = [f"{', '.join(measured.series)}: {measured.exposure_s:.4g} s"]
    if found.seen:
        (low, high), (fast, slow) = found.rms_bounds_percent, found.time_bounds_s
        lines += [
            f"Slow drift of the shape of I(q), largest in {found.label}:",
            f"  rms {found.rms_percent:.2g} % ({low:.2g} to {high:.2g} %, one sigma)",
            f"  correlation time {found.time_s:.2g} s ({fast:.2g} to {slow:.2g} s)",
        ]
    else:
        lines.append(
            f"No slow drift of the shape of I(q) is seen; at most {found.largest_percent:.2g} % rms (95 %), if it is "
            f"faster than {found.longest_time_s:.2g} s."
        )
    return "\n".join(lines)


def _as_json(measured: MeasuredSystematics, changes: dict[str, float]) -> str:
    import msgspec

    parts = {**msgspec.to_builtins(measured), "problem": measured.problem, "changes": changes}
    return json.dumps(parts)


def _assignments(changes: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in changes.items())


def _provenance(measured: MeasuredSystematics, author: str) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    low, high = measured.found.rms_bounds_percent
    number = f"{low:.2g} to {high:.2g} %" if measured.found.seen else "none seen, upper bound of 95 %"
    return f"measured by {author}, {now}, on {', '.join(measured.series)} ({measured.exposure_s:.4g} s): {number}"


def _notice(notice: SourceNotice) -> None:
    words = " ".join(part for part in (notice.what, notice.still_works, notice.try_this) if part)
    if words:
        click.echo(words, err=True)
