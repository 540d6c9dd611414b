"""What jobs on a cluster cost beyond their own work, on a real Slurm behind a real SSH server of this computer.

``python -m benchmarks.job_overhead --rounds 9`` prints medians and ranges of

- series end (the backend knows that it is over) to accepted by ``sbatch``; the same from the last file on the disk;
- result written (``done.json`` is there) to shown (the state stands in a snapshot);
- with 1000 jobs in the ledger: one poll of the dispatcher, one job table for a snapshot, one table drawn by the
  window. ``--crowd`` measures only these, which need no cluster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.job import DONE_FILE
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe import Recipe
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from benchmarks.chaos_stage import Stage, open_stage
from benchmarks.chaos_watch import Watcher

_JOBS = 1000
_WAIT_S = 300.0


def measure_chain(rounds: int) -> dict[str, list[float]]:
    """Seconds from series end to accepted and from result to shown, one entry per round."""
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder, open_stage(Path(folder), 1, 0.2) as stage:
        recorded = stage.record_series(rounds + 1, seed=1)
        watcher = Watcher(stage.program.root)
        watcher.start()
        stage.program.start_backend("--settings", str(stage.settings_file))
        files_at: dict[str, float] = {}
        for number, series in enumerate(recorded, 1):
            stage.measure(series)
            files_at[series.name] = time.time()
            _wait(lambda done=number: sum(row.state == "done" for row in watcher.newest.values()) >= done)
        watcher.stop()
        # The first round also loads kernels and logs in.
        return _chain_times(stage, watcher, {series.name: files_at[series.name] for series in recorded[1:]})


def _chain_times(stage: Stage, watcher: Watcher, files_at: dict[str, float]) -> dict[str, list[float]]:
    ledger = Ledger(stage.processed / "mento-gui" / "ledger.sqlite")
    found: dict[str, list[float]] = {name: [] for name in _CHAIN}
    for job in ledger.jobs(_JOBS):
        if job.intent.series not in files_at:
            continue
        steps = {str(step.state): step.at for step in reversed(ledger.job_history(job.intent.job_id))}
        shown_at = next(entry.at for entry in watcher.history[job.intent.job_id] if entry.row.state == "done")
        written_at = (job.intent.folder / DONE_FILE).stat().st_mtime
        found[_CHAIN[0]].append(steps["submitted"] - steps["queued"])
        found[_CHAIN[1]].append(steps["submitted"] - files_at[job.intent.series])
        found[_CHAIN[2]].append(shown_at - written_at)
    ledger.close()
    return found


_CHAIN = (
    "series end to sbatch accepted",
    "last file on the disk to sbatch accepted",
    "result written to shown",
)


def measure_crowd(rounds: int) -> dict[str, list[float]]:
    """Seconds that one step takes with 1000 jobs in the ledger, all of which wait (the worst case)."""
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        beamtime = Path(folder)
        ledger = Ledger(beamtime / "processed" / "ledger.sqlite")
        command = ["/bin/true", "{result}"]
        recipe = Recipe.model_validate(
            {"name": "xpcs", "title": "t", "description": "d", "command": command, "text_sha256": "1" * 64}
        )
        dispatcher = Dispatcher(
            ledger,
            {"xpcs": recipe},
            [LocalExecutor(parallel_jobs=0)],
            DispatchSettings(),
            results_of=lambda info: result_folder(beamtime / "raw", beamtime / "processed", info),
            beamtime=beamtime,
        )
        for number in range(_JOBS):
            dispatcher.series_ended(_series(beamtime, number), 100)
        found = {
            "poll": _times(rounds, lambda: dispatcher.poll(time.time())),
            "job table for a snapshot": _times(rounds, dispatcher.job_rows),
            "window draws the table, all rows changed": _window_times(rounds, dispatcher),
        }
        ledger.close()
        return found


def _window_times(rounds: int, dispatcher: Dispatcher) -> list[float]:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import msgspec

    from mento_gui.application import make_application
    from widgets.job_table import JobTable

    application = make_application()
    table = JobTable()
    table.resize(800, 300)
    table.show()
    rows = dispatcher.job_rows()
    turn = [0]

    def draw() -> None:
        turn[0] += 1
        table.show_rows([msgspec.structs.replace(row, reason=f"round {turn[0]}") for row in rows])
        application.processEvents()

    return _times(rounds, draw)


def _series(beamtime: Path, number: int) -> SeriesInfo:
    name = f"silica_{number:05d}"
    folder = beamtime / "raw" / name / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo(name, "silica", number, folder, info, folder / f"{name}_master.h5", expected_frames=100)


def _times(rounds: int, step: Callable[[], object]) -> list[float]:
    step()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return found


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError("a job did not end in time")
        time.sleep(0.02)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="how often (default: 9)")
    parser.add_argument("--crowd", action="store_true", help="only what needs no cluster")
    given = parser.parse_args()
    found = {} if given.crowd else measure_chain(given.rounds)
    found |= measure_crowd(given.rounds)
    print("| what | median | range |\n|---|---|---|")
    for what, seconds in found.items():
        print(f"| {what} | {statistics.median(seconds):.3f} s | {min(seconds):.3f} to {max(seconds):.3f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
