"""``mento-gui demo``: a simulated beamtime, written by a process of its own, watched by the real program."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mento_gui.commands.simulate import DETECTOR_NAMES, SCENARIO_NAMES

if TYPE_CHECKING:
    from backend.publish.client import BackendClient
    from backend.snapshot import Snapshot

_SHOWN_BY_DEFAULT = ("stable", "aggregation", "bubble", "acceleration")
_LOOK_S = 0.05
_SILENT_S = 30.0

_EPILOG = """
\b
Examples:
  mento-gui demo
  mento-gui demo --scenario aggregation --speed 2
  mento-gui demo --scenario bubble --headless --json
"""


@click.command("demo", epilog=_EPILOG)
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(SCENARIO_NAMES),
    help="What happens in the series; may be repeated (default: several, one after the other).",
)  # fmt: skip
@click.option("--detector", type=click.Choice(DETECTOR_NAMES), default="eiger500k", show_default=True)
@click.option("--frames", type=int, default=600, show_default=True, metavar="N", help="Frames per series.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Same seed, same frames.")
@click.option(
    "--speed", type=click.FloatRange(min=0.0, min_open=True), default=1.0, show_default=True, metavar="X",
    help="2 = the detector runs twice as fast.",
)  # fmt: skip
@click.option("--headless", is_flag=True, help="No window: print the verdict as it changes.")
@click.option("--json", "as_json", is_flag=True, help="With --headless: one JSON object per line.")
def demo(
    scenarios: tuple[str, ...],
    detector: str,
    frames: int,
    seed: int,
    speed: float,
    headless: bool,
    as_json: bool,
) -> None:
    """Watch a simulated beamtime in a temporary folder; nothing else is touched."""
    chosen = scenarios or _SHOWN_BY_DEFAULT
    physics = ["--detector", detector, "--frames", str(frames), "--seed", str(seed), "--pace", str(speed)]
    with tempfile.TemporaryDirectory(prefix="mento-gui-demo-") as folder:
        root = Path(folder)
        wanted = [argument for name in chosen for argument in ("--scenario", name)]
        command = ["simulate", "--to", str(root), "--beamtime", *wanted, *physics]
        if headless:
            _headless(root, command, _Printer(as_json), len(chosen))
        else:
            with _running(command):
                from backend.errors import FeedbackError
                from mento_gui.application import run_window

                try:
                    code = run_window(root, None, demo_title=f"Demo: {', '.join(chosen)}")
                except FeedbackError as error:
                    raise click.ClickException(str(error)) from error
            sys.exit(code)


@contextmanager
def _running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A ``mento-gui`` process that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mento_gui", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _headless(root: Path, simulate: list[str], say: _Printer, series: int) -> None:
    from backend.publish.client import BackendClient

    with _running(["--backend-only", "--root", str(root)]) as backend:
        client = BackendClient(root)
        try:
            # The detector starts when someone watches, as at the beamline.
            _follow(client, backend, say, lambda snapshot: snapshot.backend.phase != "preparing")
            with _running(simulate) as detector:
                _follow(client, backend, say, lambda snapshot: _all_done(snapshot, detector, series))
                if detector.returncode:
                    raise click.ClickException(
                        f"The simulated detector ended with exit code {detector.returncode}."
                    )
        finally:
            client.close()
    say.end()


def _all_done(snapshot: Snapshot, detector: subprocess.Popen[bytes], series: int) -> bool:
    finished = [row for row in snapshot.runs if row.status != "running"]
    jobs_over = all(job.state in ("done", "failed", "cancelled", "parked") for job in snapshot.jobs)
    over = len(finished) == series and len(snapshot.jobs) >= series and jobs_over
    if detector.poll() is None:
        return False
    return over or detector.returncode != 0


def _follow(client: BackendClient, backend: subprocess.Popen[bytes], say: _Printer, done: Any) -> None:
    """Print what the backend says until ``done(snapshot)``."""
    pause = threading.Event()
    heard_at = time.monotonic()
    while True:
        snapshot = client.latest()
        if snapshot is not None:
            heard_at = time.monotonic()
            say.snapshot(snapshot)
            if done(snapshot):
                return
        if backend.poll() is not None:
            raise click.ClickException(f"The backend ended with exit code {backend.returncode}.")
        if time.monotonic() - heard_at > _SILENT_S:
            raise click.ClickException(f"The backend has said nothing for {_SILENT_S:.0f} s.")
        pause.wait(_LOOK_S)


class _Printer:
    """One line per change of the verdict, one per series at its end, one per job."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._verdict: tuple[str, str] = ("", "")
        self._ended: set[str] = set()
        self._jobs: dict[str, str] = {}

    def snapshot(self, snapshot: Snapshot) -> None:
        """Print what is new."""
        import msgspec

        verdict = snapshot.verdict
        if (verdict.series, verdict.state) != self._verdict:
            self._verdict = (verdict.series, verdict.state)
            self._line(
                {"event": "verdict", **msgspec.to_builtins(verdict)},
                f"{verdict.series or '-'} frame {verdict.frame}: {verdict.state}. {verdict.why} {verdict.do}",
            )
        for row in snapshot.runs:
            if row.status != "running" and row.series not in self._ended:
                self._ended.add(row.series)
                words = f"{row.series} {row.status}: {row.verdict}, {row.frames} frames. {row.why}"
                self._line({"event": "series-ended", **msgspec.to_builtins(row)}, words)
        for job in snapshot.jobs:
            if self._jobs.get(job.job_id) != job.state:
                self._jobs[job.job_id] = job.state
                agreement = "" if snapshot.confirmed_g2 is None else snapshot.confirmed_g2.agreement
                self._line(
                    {"event": "job", **msgspec.to_builtins(job), "agreement": agreement},
                    f"Job {job.recipe} on {job.series}: {job.state}. {job.reason}",
                )

    def end(self) -> None:
        """Say that it is over."""
        self._line({"event": "end"}, "The demo is over.")

    def _line(self, record: dict[str, Any], words: str) -> None:
        click.echo(json.dumps(record) if self._as_json else words)
