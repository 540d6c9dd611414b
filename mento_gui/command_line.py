"""The command ``mento-gui``: window, headless backend, and the tools around them."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import click

from backend.kernel_cache import use_kernel_cache
from mento_gui.exit_codes import ANOTHER_BACKEND_RUNS

_COMMANDS = {
    "demo": "mento_gui.commands.demo",
    "simulate": "mento_gui.commands.simulate",
    "correlate": "mento_gui.commands.correlate",
    "replay": "mento_gui.commands.replay",
    "tune": "mento_gui.commands.tune",
    "measure-systematics": "mento_gui.commands.measure_systematics",
    "status": "mento_gui.commands.status",
    "jobs": "mento_gui.commands.jobs",
    "series-file": "mento_gui.commands.series_file",
    "submit": "mento_gui.commands.submit",
    "recipe": "mento_gui.commands.recipe",
    "trust": "mento_gui.commands.trust",
    "doctor": "mento_gui.commands.doctor",
}
_SUMMARIES = {
    "demo": "Watch a simulated beamtime.",
    "simulate": "Write simulated series as EIGER files.",
    "correlate": "Correlate one series in full into a result file.",
    "replay": "Judge recorded series and print the verdicts.",
    "tune": "Try other settings on recorded series.",
    "measure-systematics": "Measure slow drifts of I(q) that are not the sample.",
    "status": "Ask the running backend.",
    "jobs": "List, show, cancel or retry jobs of the running backend.",
    "series-file": "Name all frames of a series in one file, for programs of others.",
    "submit": "Run any command as a job of the running backend.",
    "recipe": "List, check and begin recipes; choose which run by themselves.",
    "trust": "Approve the host key of a cluster.",
    "doctor": "Check all that jobs on the cluster need.",
}

_EPILOG = """
\b
Examples:
  mento-gui                                  the window, for the beamtime in /gpfs
  mento-gui --root /gpfs --settings p10.toml
  mento-gui --backend-only --root /gpfs      without a window
  mento-gui demo --scenario aggregation
"""


class _LazyGroup(click.Group):
    """Loads a command only when it is used, so that --help and the window start at once."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[name]), name.replace("-", "_"))
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUMMARIES.items()))


@click.group(cls=_LazyGroup, invoke_without_command=True, epilog=_EPILOG)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="Where current/ or commissioning/ stands.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML; what it leaves out has its default.",
)  # fmt: skip
@click.option("--backend-only", is_flag=True, help="Run without a window; no Qt is loaded.")
@click.option("--verbose", is_flag=True, help="Log every verdict change and start.")
@click.version_option(package_name="mento-gui")
@click.pass_context
def main(
    context: click.Context, root: Path, settings_file: Path | None, backend_only: bool, verbose: bool
) -> None:
    """Live feedback for X-ray photon correlation spectroscopy.

    Watches the acquisition, shows speckle, g2 and a beam-damage verdict while the series is still running. Without a
    command it opens the window and starts the backend, or connects to one that runs already.
    """
    # Before numpy is loaded: its matrices are small here, and threads that wait for each other while the kernels use
    # every core make a fit of 50 ms last seconds.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Before the first kernel is imported, by whichever command.
    use_kernel_cache()
    if context.invoked_subcommand is not None:
        return
    settings_path = None if settings_file is None else settings_file.absolute()
    if backend_only:
        _run_backend(root.absolute(), settings_path)
    else:
        _run_window(root.absolute(), settings_path)


def _run_backend(root: Path, settings_file: Path | None) -> None:
    import signal

    from backend.engine import Engine
    from backend.errors import FeedbackError
    from backend.lease import LeaseTakenError
    from backend.settings import load_settings

    try:
        engine = Engine(root, load_settings(settings_file), settings_file)
    except LeaseTakenError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ANOTHER_BACKEND_RUNS)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: engine.stop())
    engine.run()


def _run_window(root: Path, settings_file: Path | None) -> None:
    from backend.errors import FeedbackError
    from backend.settings import load_settings

    try:
        load_settings(settings_file)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    if not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM")
    ):
        raise click.ClickException(
            "There is no screen for the window (DISPLAY is not set). "
            "Log in with ssh -X, or run without a window: mento-gui --backend-only"
        )
    from mento_gui.application import run_window

    try:
        code = run_window(root, settings_file)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)
