"""Peak memory of a long series, measured in a process of its own."""

from __future__ import annotations

import argparse
import json
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
    found = json.loads(done.stdout)
    gigabytes = found["peak_bytes"] / 1e9
    return Row(
        name="memory",
        case=f"{kind.words}, over and over up to T = {frames:,}, {what}",
        quantity="GB of memory at most",
        median=gigabytes,
        low=gigabytes,
        high=gigabytes,
        goal=Goal.at_most(session.goal(_GOAL_GB)),
        threads=choices.threads,
        ours=f"{found['grown_bytes'] / 1e9:.2f} GB more than with the movie alone, "
        f"whose chunks are {found['movie_bytes'] / 1e9:.2f} GB",
        note="the whole process, the interpreter and the compressed chunks of the movie included",
    )


def _memory_bytes(entry: str) -> int:
    """``VmHWM``, the largest resident memory this process has had, or ``VmRSS``, that of now.

    Not from ``getrusage``: there the memory of the process that started this one counts too.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{entry}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the system does not state {entry} of a process")
    return int(found.group(1)) * 1024


def main() -> None:
    """The process that is measured: feeds frames and prints its peak and what the state takes."""
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
    before = _memory_bytes("VmRSS")
    if wish.what == "chain":
        with ours.Chain(movie, wish.threads) as chain:
            for piece in movie.again_and_again(wish.frames):
                chain.feed(piece)
                chain.read()
            grown = _memory_bytes("VmRSS") - before
    else:
        preview = ours.Preview(movie, wish.frames, verdicts=True)
        for piece in movie.again_and_again(wish.frames):
            preview.feed(piece)
        grown = _memory_bytes("VmRSS") - before
        preview.finish()
    movie_bytes = sum(len(chunk) for piece in movie.pieces for chunk in piece.chunks)
    print(
        json.dumps({"peak_bytes": _memory_bytes("VmHWM"), "grown_bytes": grown, "movie_bytes": movie_bytes})
    )


if __name__ == "__main__":
    main()
