"""Runs measurements and tells their rows; ``python -m benchmarks.run --help``.

Examples::

    python -m benchmarks.run chain --rounds 5 --json chain.json
    python -m benchmarks.run chain decode --photons 0.01 --frames 64 --rounds 2
    python -m benchmarks.run all --json all.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from benchmarks.comparison import Row
from benchmarks.machine import keep_to_processors, machine_facts
from benchmarks.movies import movie_parameters
from benchmarks.session import SCRATCH, Choices, Session
from benchmarks.table import markdown_table

# Name on the command line, and the module that measures it.
_MEASUREMENTS = {
    "chain": "chain",
    "preview": "preview",
    "decode": "decode",
    "long-series": "long_series",
    "two-time": "two_time",
    "dense": "dense",
    "agreement": "agreement",
    "engine": "engine",
    "first-result": "first_result",
    "memory": "memory",
    "profile": "stages",
}


def _choices() -> tuple[list[str], Choices, Path | None]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="+", choices=[*_MEASUREMENTS, "all"])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=2, help="and processors of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=int, help="shorter movies, to try something; numbers are then no result"
    )
    parser.add_argument(
        "--photons", type=float, nargs="+", help="only these photons per pixel, where there are several"
    )
    parser.add_argument(
        "--detector", choices=("eiger4m", "eiger500k"), help="another detector than the table's"
    )
    parser.add_argument(
        "--scratch", type=Path, default=SCRATCH, help="movies are kept here (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write rows and facts of the machine into this file")
    wish = parser.parse_args()
    if wish.rounds < 1 or wish.threads < 1 or (wish.frames is not None and wish.frames < 32):
        parser.error("rounds and threads are at least 1, frames at least 32")
    names = list(_MEASUREMENTS) if "all" in wish.what else wish.what
    photons = None if wish.photons is None else tuple(wish.photons)
    choices = Choices(wish.rounds, wish.threads, wish.frames, photons, wish.detector, wish.scratch.absolute())
    return names, choices, wish.json


def main() -> None:
    names, choices, target = _choices()
    keep_to_processors(choices.threads)
    facts = machine_facts()
    parameters = {"measurements": names, "choices": asdict(choices), "movies": movie_parameters()}
    rows: list[Row] = []
    with closing(Session(choices)) as session:
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += importlib.import_module(f"benchmarks.{_MEASUREMENTS[name]}").measure(session)
            if target is not None:
                # After each measurement: a long run that breaks off has not been for nothing.
                found = facts | {"peers": session.peer_versions()}
                content = {"machine": found, "parameters": parameters, "rows": [asdict(row) for row in rows]}
                target.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
