"""The whole program on files, with a window, against the same analysis in memory and against the chain alone."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backend.publish.client import BackendClient
from backend.settings import settings_to_toml
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.snapshot import Snapshot
from benchmarks import ours
from benchmarks.comparison import Goal, Row, interleave
from benchmarks.movies import SETTINGS, Movie
from benchmarks.session import Session

_PHOTONS, _FRAMES, _GOAL = 0.01, 1920, 0.85
_LOOK_S = 0.02
_PATIENCE_S = 600.0
_STARTED_S, _IDLE_S = 1.0, 0.1


class EngineError(RuntimeError):
    """The program did not get through the series."""


def measure(session: Session) -> list[Row]:
    """Rows: frames per second between first and last snapshot of a series, over those of the preview and of the chain.

    The chain makes g2 and I(q, t) only; the preview makes the same as the program, without files, network and window.
    """
    movie = session.movie("eiger4m", _PHOTONS, _FRAMES)
    threads, frames = session.choices.threads, movie.kind.frames
    return [
        _compare(
            session,
            movie,
            "speed of the program with its window over that of the same analysis in memory",
            lambda: ours.run_preview(movie, frames, verdicts=True),
            session.goal(_GOAL),
        ),
        _compare(
            session,
            movie,
            "speed of the program with its window over that of the chain alone",
            lambda: ours.run_chain(movie, threads, from_files=True).seconds / frames,
            None,
        ),
    ]


def _compare(
    session: Session, movie: Movie, quantity: str, other_frame_s: Callable[[], float], goal: float | None
) -> Row:
    root = session.choices.scratch / "engine"
    # The program takes all processors that it may use, which are as many as threads.
    turns = interleave(lambda: _engine_frame_s(movie, root), other_frame_s, session.choices.rounds)
    ratios = turns.ratios
    speeds = [f"{1 / statistics.median(seconds):,.0f} frames/s" for seconds in (turns.ours_s, turns.other_s)]
    return Row(
        name="engine",
        case=f"{movie.kind.words}, from files",
        quantity=quantity,
        median=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        goal=None if goal is None else Goal(goal, "at least"),
        ours=speeds[0],
        other=speeds[1],
        threads=session.choices.threads,
        rounds=len(ratios),
        note="between the first and the last snapshot of the series; the window has no screen",
    )


def _engine_frame_s(movie: Movie, root: Path) -> float:
    """Seconds per frame of a series that appears, complete, once the program and its window have started."""
    shutil.rmtree(root, ignore_errors=True)
    raw = write_beamtime_skeleton(root) / "raw"
    # Hard links: the files are not copied, and the program sees files of its own.
    waiting = shutil.copytree(movie.folder, root / movie.folder.name, copy_function=os.link)
    settings = root / "settings.toml"
    settings.write_text(settings_to_toml(SETTINGS), encoding="utf-8")
    program = [sys.executable, "-m", "mento_gui", "--root", str(root), "--settings", str(settings)]
    with closing(BackendClient(root)) as client:
        with _running([*program, "--backend-only"]) as backend, _running(program) as window:
            _wait_until_idle(backend, window)
            Path(waiting).rename(raw / movie.folder.name)
            first = last = _next_with_frames(client, backend)
            while _frames(last) < movie.kind.frames:
                last = _next_with_frames(client, backend)
    if _frames(last) == _frames(first):
        raise EngineError("the series was over at the first snapshot: it is too short to be timed")
    return (last.produced_at - first.produced_at) / (_frames(last) - _frames(first))


def _wait_until_idle(*processes: subprocess.Popen[bytes]) -> None:
    """Wait until programs have started: they have worked, and for a second hardly do."""
    deadline = time.monotonic() + _PATIENCE_S
    before = 0.0
    while time.monotonic() < deadline:
        used = sum(_processor_s(process.pid) for process in processes)
        if used > _STARTED_S and used - before < _IDLE_S:
            return
        before = used
        time.sleep(1.0)
    raise EngineError(f"the program was still starting after {_PATIENCE_S:g} s")


def _processor_s(process: int) -> float:
    """Processor time of a process so far, from its line in /proc."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _frames(snapshot: Snapshot) -> int:
    return 0 if snapshot.series is None else snapshot.series.frames


def _next_with_frames(client: BackendClient, backend: subprocess.Popen[bytes]) -> Snapshot:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        snapshot = client.latest()
        if snapshot is not None and _frames(snapshot) > 0:
            return snapshot
        try:
            raise EngineError(f"the program ended with {backend.wait(timeout=_LOOK_S)}")
        except subprocess.TimeoutExpired:
            continue
    raise EngineError(f"no snapshot of the series within {_PATIENCE_S:g} s")


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the program while the block runs; a window has no screen."""
    process = subprocess.Popen(command, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"})
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
