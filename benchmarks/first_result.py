"""How long the window waits for the first frames of a series, measured in a process of its own."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from backend.kernel_warm_up import warm_up
from backend.rehearsal import Rehearsal
from benchmarks import ours
from benchmarks.comparison import Goal, Row
from benchmarks.movies import SETTINGS, MovieKind, load_movie
from benchmarks.peers import PROJECT
from benchmarks.session import Session

_PHOTONS, _MOVIE_FRAMES, _GOAL_S = 0.01, 320, 0.5
_PAUSE_S = 5.0
"""Nobody measures in the moment after the start; a virtual machine takes back what is free after two seconds."""


def measure(session: Session) -> list[Row]:
    """Two rows: the first series after the start of the program, and later ones."""
    kind = session.movie("eiger4m", _PHOTONS, _MOVIE_FRAMES).kind
    choices = session.choices
    command = [sys.executable, "-m", "benchmarks.first_result", "--series", str(1 + choices.rounds)]
    command += ["--detector", kind.detector, "--photons", str(kind.photons_per_pixel), "--dtype", kind.dtype]
    command += ["--frames", str(kind.frames), "--scratch", str(choices.scratch)]
    started = [
        json.loads(subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout)
        for _ in range(choices.rounds)
    ]
    first, later = [seconds[0] for seconds in started], [s for seconds in started for s in seconds[1:]]
    return [
        _row(session, kind, "the first series after a start", first),
        _row(session, kind, "later series", later),
    ]


def _row(session: Session, kind: MovieKind, which: str, seconds: list[float]) -> Row:
    return Row(
        name="first result",
        case=f"{kind.words}, {which}",
        quantity="seconds from the first 64 frames to the first snapshot",
        median=statistics.median(seconds),
        low=min(seconds),
        high=max(seconds),
        goal=Goal.at_most(session.goal(_GOAL_S)),
        threads=session.choices.threads,
        rounds=len(seconds),
        note="kernels are compiled; mask, hot pixels, rings and speckle size included",
    )


def main() -> None:
    """The process that is measured: prints the seconds of each series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--photons", type=float, required=True)
    parser.add_argument("--dtype", choices=("uint16", "uint32"), required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    wish = parser.parse_args()
    rehearsal = Rehearsal(SETTINGS)
    movie = load_movie(MovieKind(wish.detector, wish.photons, wish.frames, wish.dtype), wish.scratch)
    warm_up()
    while not rehearsal.is_over:
        rehearsal.step()
    time.sleep(_PAUSE_S)
    seconds = []
    for _ in range(wish.series):
        preview = ours.Preview(movie, movie.kind.frames, verdicts=True)
        begin = time.perf_counter()
        preview.feed(movie.pieces[0])
        seconds.append(time.perf_counter() - begin)
        for piece in movie.pieces[1:]:
            preview.feed(piece)
        preview.finish()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
