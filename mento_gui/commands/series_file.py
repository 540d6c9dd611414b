"""``mento-gui series-file``: a series as programs of others expect it."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """
\b
Example:
  mento-gui series-file /gpfs/current/raw/mysample_00012/e4m/mysample_00012_master.h5 --to series.h5
"""


@click.command("series-file", epilog=_EPILOG)
@click.argument("master", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.h5",
    help="File to write; replaced in one step.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML.",
)  # fmt: skip
def series_file(master: Path, file: Path, settings_file: Path | None) -> None:
    """Write one small file that names all frames of the series of MASTER, with its mask and q rings.

    For programs that expect frames in one dataset, /entry/data/data, and a map of q rings, /qmap. No frame is copied:
    the data files must stay where they are.
    """
    from backend.errors import FeedbackError
    from backend.series_file import write_series_file
    from backend.settings import load_settings

    try:
        frames = write_series_file(master, file, load_settings(settings_file))
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {frames} frames")
