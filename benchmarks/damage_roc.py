"""How often the damage verdict cries wolf, and how early it is right: ``python -m benchmarks.damage_roc``.

Series of simulated speckle, most of them undamaged and with everything a beamline does to the incident beam, go through
the damage detector of the program and through other ways to raise an alarm. Others are disturbed by a module, the
beam, or a drift of the shape of I(q), but not damaged either. The tables say how many undamaged series
were called damaged, with exact bounds, and how far the damage had gone at the alarm.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.damage_cells import DAMAGED, DISTURBED, NULLS
from benchmarks.damage_outcomes import Outcome, Watch, run
from benchmarks.damage_tables import as_markdown, tables_of


def run_all(
    nulls: int, disturbed: int, damaged: int, seed: int, watch: Watch, processes: int
) -> list[Outcome]:
    """``nulls`` series without damage in all, spread over the cells, and so many of each disturbance and damage."""
    tasks = [(NULLS[index % len(NULLS)], seed + index, watch) for index in range(nulls)]
    first = seed + nulls
    for cells, number in ((DAMAGED, damaged), (DISTURBED, disturbed)):
        tasks += [
            (cell, first + k * number + i, watch) for k, cell in enumerate(cells) for i in range(number)
        ]
        first += number * len(cells)
    if processes == 1:
        return [run(*task) for task in tasks]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(run, *zip(*tasks, strict=True), chunksize=4))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nulls", type=int, default=1000, help="series without damage in all (default 1000)")
    parser.add_argument(
        "--disturbed", type=int, default=0, help="undamaged series of each kind of disturbance (default 0)"
    )
    parser.add_argument("--damaged", type=int, default=60, help="series of each kind of damage (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same tables (default 1)")
    parser.add_argument(
        "--processes", type=int, default=1, help="processes that share the series (default 1)"
    )
    parser.add_argument(
        "--lags", help="frames between the factors of the products, with commas (default: installed)"
    )
    parser.add_argument("--window-frames", type=int, default=Watch().window_frames, help="default: installed")
    parser.add_argument("--json", type=Path, help="file for all numbers of the tables")
    wanted = parser.parse_args()
    lags = tuple(int(lag) for lag in wanted.lags.split(",")) if wanted.lags else Watch().lags
    watch = Watch(lags, wanted.window_frames)
    outcomes = run_all(wanted.nulls, wanted.disturbed, wanted.damaged, wanted.seed, watch, wanted.processes)
    tables = tables_of(outcomes)
    print(as_markdown(tables))
    if wanted.json:
        wanted.json.write_text(json.dumps(tables, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
