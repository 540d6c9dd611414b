"""Peak memory of a long series, measured in a process of its own."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import ours
from benchmarks.comparison import Goal, Row
from benchmarks.movies import MovieKind, load_movie
from benchmarks.peers import PROJECT
from benchmarks.session import Session

_PHOTONS, _MOVIE_FRAMES, _LENGTH, _GOAL_GB = 0.01, 320, 100_000, 1.5


def measure(session: Session) -> list[Row]:
    """Two rows: the core chain, and everything that the program shows."""
    movie = session.movie("eiger4m", _PHOTONS, _MOVIE_FRAMES)
    # A short run only shows that all works.
    frames = _LENGTH if session.choices.frames is None else 4 * movie.kind.frames
    return [_row(session, movie.kind, what, frames) for what in ("chain", "preview")]


def _row(session: Session, kind: MovieKind, what: str, frames: int) -> Row:
    choices = session.choices
    command = [sys.executable, "-m", "benchmarks.memory", what, "--frames", str(frames)]
    command += ["--detector", kind.detector, "--photons", str(kind.photons_per_pixel), "--dtype", kind.dtype]
    command += ["--movie-frames", str(kind.frames), "--scratch", str(choices.scratch)]
    command += ["--threads", str(choices.threads)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    gigabytes = int(done.stdout) / 1e9
    return Row(
        name="memory",
        case=f"{kind.words}, over and over up to T = {frames:,}, {what}",
        quantity="GB of memory at most",
        median=gigabytes,
        low=gigabytes,
        high=gigabytes,
        goal=Goal.at_most(session.goal(_GOAL_GB)),
        threads=choices.threads,
        note="the whole process, the interpreter and the compressed chunks of the movie included",
    )


def peak_bytes() -> int:
    """Largest resident memory this process has had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError("the system does not state the largest memory of a process")
    return int(found.group(1)) * 1024


def main() -> None:
    """The process that is measured: feeds frames and prints its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("chain", "preview"))
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--photons", type=float, required=True)
    parser.add_argument("--dtype", choices=("uint16", "uint32"), required=True)
    parser.add_argument("--movie-frames", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    wish = parser.parse_args()
    movie = load_movie(MovieKind(wish.detector, wish.photons, wish.movie_frames, wish.dtype), wish.scratch)
    if wish.what == "chain":
        with ours.Chain(movie, wish.threads) as chain:
            for piece in movie.again_and_again(wish.frames):
                chain.feed(piece)
                chain.read()
    else:
        ours.run_long_preview(movie, wish.frames)
    print(peak_bytes())


if __name__ == "__main__":
    main()
