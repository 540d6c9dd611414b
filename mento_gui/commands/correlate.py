"""``mento-gui correlate``: the full correlation of one series, what a cluster job runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

_EPILOG = """
\b
Example:
  mento-gui correlate /gpfs/current/raw/mysample_00012/e4m/mysample_00012_master.h5 --to /tmp/result.h5
"""


@click.command("correlate", epilog=_EPILOG)
@click.argument("master", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to", "result_file", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="RESULT.h5",
    help="Result file; replaced in one step when everything is done.",
)  # fmt: skip
@click.option(
    "--mask", "mask_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Extra mask as .npy, 1 = good pixel; or a result file with its mask.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML.",
)  # fmt: skip
def correlate(master: Path, result_file: Path, mask_file: Path | None, settings_file: Path | None) -> None:
    """Correlate the series of MASTER in full and write g2, fits, I(q) and the verdict to RESULT.h5."""
    from backend.dispatch.job_command import job_facts
    from backend.errors import FeedbackError
    from backend.full_correlation import correlate_series
    from backend.results.result_file import write_result
    from backend.settings import load_settings

    try:
        settings = load_settings(settings_file)
        with _progress() as progress:
            result = correlate_series(master, settings, mask_file, progress)
        write_result(result_file, result, job_facts(os.environ))
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    for notice in result.notices:
        click.echo(notice, err=True)
    click.echo(
        f"{result.series}: {result.frames} frames, {len(result.q_inv_nm)} q rings, {result.verdict}. {result_file}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal; else lines ``progress 0.42`` for whoever follows the log."""
    if not sys.stderr.isatty():
        yield _line_progress()
        return
    with click.progressbar(length=1000, label="Correlating", file=sys.stderr) as bar:

        def show(frames: int, expected: int | None) -> None:
            done = int(1000 * frames / expected) if expected else 0
            bar.update(max(min(done, 1000) - bar.pos, 0))

        yield show


def _line_progress() -> Callable[[int, int | None], None]:
    said = -1

    def say(frames: int, expected: int | None) -> None:
        nonlocal said
        percent = int(100 * frames / expected) if expected else 0
        if percent > said:
            said = percent
            click.echo(f"progress {percent / 100:.2f}", err=True)

    return say
