"""Jobs on a real Slurm over a real SSH server while everything around them is killed, cut, filled and truncated.

``python -m benchmarks.chaos --jobs 200 --seed 1`` runs the program as a person does, with its window (off screen), lets
series end, each of which wishes for some jobs, and breaks one thing after the other. It prints what was broken, what
became of the jobs, and four numbers that have to be 0. The seed chooses the faults; when they strike depends on the
machine too. Needs Slurm, munge and sshd (``./test`` installs them); the result disk can only be filled by root, who
may mount a small one.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backend.dispatch.job import JobRecord
from backend.ledger import Ledger
from benchmarks.chaos_faults import FaultMaker
from benchmarks.chaos_stage import Stage, open_stage
from benchmarks.chaos_verdict import Verdict, judge
from benchmarks.chaos_watch import Watcher

_RECIPES = 4
_MOST_ROWS = 100_000
_REST_S = 600.0
_OVER = ("done", "failed", "cancelled", "parked")


def run(
    jobs: int, seed: int, *, pause_s: float, work_s: float, series_every_s: float
) -> tuple[Verdict, Counter[str]]:
    """Run the bench; the verdict, and how often each fault was made."""
    number = -(-jobs // _RECIPES)
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        open_stage(Path(folder), _RECIPES, work_s) as stage,
    ):
        say(f"{number} series are written beforehand")
        recorded = stage.record_series(number, seed)
        faults = FaultMaker(stage, random.Random(seed), pause_s)
        watcher = Watcher(stage.program.root)
        watcher.start()
        stage.start_window()
        if not watcher.is_ready.wait(_REST_S):
            raise RuntimeError("the backend never became ready")
        trouble = threading.Thread(target=faults.run, name="trouble")
        trouble.start()
        for series in recorded:
            stage.measure(series)
            say(f"{series.name} has ended; faults so far: {len(faults.done)}; {states(watcher)}")
            time.sleep(series_every_s)
        wishes = [(series.name, recipe) for series in recorded for recipe in stage.recipes]
        _wait_for_rest(stage, watcher, len(wishes), under_fire=True)
        faults.stop()
        trouble.join()
        _wait_for_rest(stage, watcher, len(wishes), under_fire=False)
        watcher.stop()
        records = _records(stage)
        verdict = judge(wishes, records, watcher.history, faults.done, stage.diaries, watcher.silences)
        verdict.counts["rows the command line shows"] = _rows_of_command_line(stage, watcher, verdict)
        return verdict, Counter(fault.what for fault in faults.done)


def _wait_for_rest(stage: Stage, watcher: Watcher, wishes: int, *, under_fire: bool) -> None:
    """Until every wish has an end. Under fire half of them is enough: the rest is to be seen to end in peace."""
    until = time.monotonic() + _REST_S
    told_at = 0.0
    while time.monotonic() < until:
        over = _wishes_over(watcher)
        if over >= (0.9 * wishes if under_fire else wishes) and all(
            under_fire or row.state in _OVER for row in watcher.newest.values()
        ):
            return
        if time.monotonic() - told_at > 10.0:
            told_at = time.monotonic()
            stage.put_nodes_back()
            say(f"{over} of {wishes} are over; {states(watcher)}")
        time.sleep(0.5)


def _wishes_over(watcher: Watcher) -> int:
    last = {}
    for shown in list(watcher.history.values()):
        row = shown[-1].row
        wish = (row.series, row.recipe)
        if wish not in last or row.submitted_at >= last[wish].submitted_at:
            last[wish] = row
    return sum(row.state in _OVER for row in last.values())


def _records(stage: Stage) -> Sequence[JobRecord]:
    ledger = Ledger(stage.processed / "mento-gui" / "ledger.sqlite")
    try:
        return ledger.jobs(_MOST_ROWS)
    finally:
        ledger.close()


def _rows_of_command_line(stage: Stage, watcher: Watcher, verdict: Verdict) -> int:
    listed = stage.program.run("jobs", "--json", "--root", str(stage.program.root))
    if listed.process.returncode != 0:
        raise RuntimeError(f"mento-gui jobs: {listed.error}")
    rows = json.loads(listed.output)
    for row in rows:
        shown = watcher.newest.get(row["job_id"])
        if shown is not None and shown.state != row["state"]:
            verdict.wrong.append(
                f"{row['job_id']}: the command line says {row['state']}, the window {shown.state}"
            )
    return len(rows)


def states(watcher: Watcher) -> str:
    """Rows of the last snapshot by state."""
    found = Counter(row.state for row in watcher.newest.values())
    return ", ".join(f"{number} {state}" for state, number in sorted(found.items())) or "no rows"


def table(verdict: Verdict, faults: Counter[str]) -> str:
    """The outcome as text."""
    lines = ["| broken on purpose | times |", "|---|---|"]
    lines += [f"| {what} | {times} |" for what, times in sorted(faults.items())]
    lines += ["", "| what became of the jobs | number |", "|---|---|"]
    lines += [f"| {what} | {number} |" for what, number in verdict.counts.items()]
    lines += ["", "| why attempts failed, as the window says it | times |", "|---|---|"]
    lines += [f"| {reason} | {times} |" for reason, times in verdict.reasons.most_common()]
    lines += ["", "| must be 0 | number |", "|---|---|"]
    for name in ("lost", "twice", "wrong", "unexplained"):
        lines.append(f"| {_MUST[name]} | **{len(getattr(verdict, name))}** |")
    for name in ("lost", "twice", "wrong", "unexplained"):
        lines += [f"{name}: {sentence}" for sentence in getattr(verdict, name)]
    return "\n".join(lines)


_MUST = {
    "lost": "jobs lost",
    "twice": "results produced twice, or work done twice",
    "wrong": "wrong states shown",
    "unexplained": "failures not explained",
}


def say(words: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the bench from the command line; 1 when a number that has to be 0 is not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200, help="jobs wished for (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the faults (default: 1)")
    parser.add_argument(
        "--pause", type=float, default=3.0, help="mean seconds between two faults (default: 3)"
    )
    parser.add_argument(
        "--work", type=float, default=2.0, help="longest work of a job in seconds (default: 2)"
    )
    parser.add_argument("--every", type=float, default=4.0, help="seconds from series to series (default: 4)")
    given = parser.parse_args()
    # Whoever ends it, processes and the mounted disk are cleared away.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    began = time.monotonic()
    verdict, faults = run(
        given.jobs, given.seed, pause_s=given.pause, work_s=given.work, series_every_s=given.every
    )
    print(table(verdict, faults))
    print(f"\n{time.monotonic() - began:.0f} s, {sum(faults.values())} faults, seed {given.seed}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
