"""How often the damage verdict cries wolf, and how early it is right: ``python -m benchmarks.damage_roc``.

Series of simulated speckle, most of them undamaged and with everything a beamline does to the incident beam, go through
the damage detector of the program and through other ways to raise an alarm. Others are disturbed by a module, the
beam, or a drift of the shape of I(q), or age, but are not damaged either. The tables say how many undamaged series
were called damaged, with exact bounds, and how far the damage had gone at the alarm.

The series are worked off in mixed order. Interrupted with Ctrl-C, the tables tell of those that are done; with
``--checkpoint`` the same command goes on with the others.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.damage_cells import AGEING, DAMAGED, DISTURBED, FRAMES, NULLS, ONSET, begun_at, small
from benchmarks.damage_checkpoint import Checkpoint, Task
from benchmarks.damage_outcomes import Outcome, Watch, run
from benchmarks.damage_tables import as_markdown, tables_of

_MOST_SERIES = 1_000_000


def tasks_of(nulls: int, disturbed: int, damaged: int, seed: int, watch: Watch) -> list[Task]:
    """``nulls`` series without damage in all, spread over the cells, and so many of each disturbance and damage."""
    # Another seed shares no series with this one.
    first = 1 + (seed - 1) * _MOST_SERIES
    tasks = [(NULLS[index % len(NULLS)], first + index, watch) for index in range(nulls)]
    first += nulls
    for cells in (DAMAGED, DISTURBED, AGEING):
        for cell in cells:
            number = damaged if cell.family else disturbed
            tasks += [(cell, first + index, watch) for index in range(number)]
            first += number
    return tasks


def run_all(tasks: list[Task], checkpoint: Checkpoint, processes: int) -> list[Outcome]:
    """Outcomes, in the order of the tasks, of all that were done before Ctrl-C."""
    waiting = [task for task in tasks if checkpoint.find(task) is None]
    random.Random(0).shuffle(waiting)
    try:
        for task, outcome in zip(waiting, _run(waiting, processes), strict=True):
            checkpoint.add(task, outcome)
    except KeyboardInterrupt:
        print("Interrupted: the tables are those of the series that are done.\n")
    return [done for task in tasks if (done := checkpoint.find(task)) is not None]


def _run(tasks: list[Task], processes: int) -> Iterator[Outcome]:
    if processes == 1:
        yield from (run(*task) for task in tasks)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(run, *zip(*tasks, strict=True), chunksize=4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nulls", type=int, default=1000, help="series without damage in all (default 1000)")
    parser.add_argument(
        "--disturbed", type=int, default=0, help="undamaged series of each kind of disturbance (default 0)"
    )
    parser.add_argument("--damaged", type=int, default=60, help="series of each kind of damage (default 60)")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="only kinds of series whose name has this, in the same series",
    )
    parser.add_argument(
        "--onset",
        type=int,
        default=ONSET,
        help=f"frame from which damage grows that is not there from the start (default {ONSET})",
    )
    parser.add_argument(
        "--small",
        action="store_true",
        help="half the frames, a third of the pixels: many, in a sixth of the time",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same tables (default 1)")
    parser.add_argument(
        "--processes", type=int, default=1, help="processes that share the series (default 1)"
    )
    parser.add_argument(
        "--lags", help="frames between the factors of the products, with commas (default: installed)"
    )
    parser.add_argument("--window-frames", type=int, default=Watch().window_frames, help="default: installed")
    parser.add_argument("--checkpoint", type=Path, help="file that keeps each series that is done, to go on")
    parser.add_argument("--json", type=Path, help="file for all numbers of the tables")
    wanted = parser.parse_args()
    lags = tuple(int(lag) for lag in wanted.lags.split(",")) if wanted.lags else Watch().lags
    watch = Watch(lags, wanted.window_frames)
    tasks = tasks_of(wanted.nulls, wanted.disturbed, wanted.damaged, wanted.seed, watch)
    tasks = [task for task in tasks if wanted.only in task[0].name]
    if not tasks:
        parser.error(f"no kind of series has {wanted.only!r} in its name, or none of that kind is wanted")
    if not 0 <= wanted.onset < FRAMES:
        parser.error(f"damage has to begin within the {FRAMES} frames of a series")
    tasks = [(begun_at(cell, wanted.onset), seed, watch) for cell, seed, watch in tasks]
    if wanted.small:
        tasks = [(small(cell), seed, watch) for cell, seed, watch in tasks]
    tables = tables_of(run_all(tasks, Checkpoint(wanted.checkpoint), wanted.processes))
    print(as_markdown(tables))
    if wanted.json:
        wanted.json.write_text(json.dumps(tables, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
