"""Whether a frame costs the same late in a long series as early in a short one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from backend.frames import FrameBatch
from benchmarks.comparison import Goal, Row, interleave
from benchmarks.movies import Movie
from benchmarks.ours import Chain
from benchmarks.session import Session

_PHOTONS, _MOVIE_FRAMES = 0.01, 1000
_SHORT, _LONG = 1000, 50_000
_GOAL = 1.15


def measure(session: Session) -> list[Row]:
    """One row: the next 1000 frames of a series that has 50,000 already, in turns with the second 1000 of a new one."""
    movie = session.movie("eiger500k", _PHOTONS, _MOVIE_FRAMES)
    short, long, threads, rounds = _SHORT, _LONG, session.choices.threads, session.choices.rounds
    if session.choices.frames is not None:
        # A short run to see that all works; the number then says nothing.
        short, long = movie.kind.frames, 10 * movie.kind.frames
    frames = movie.again_and_again(long + short * (rounds + 1))
    with Chain(movie, threads) as chain:
        start = time.perf_counter()
        _feed(chain, frames, long)
        whole_s = (time.perf_counter() - start) / long
        turns = interleave(
            lambda: _feed(chain, frames, short), lambda: _new_series(movie, short, threads), rounds
        )
    ratios = [1 / ratio for ratio in turns.ratios]
    early, late = (1e3 * statistics.median(seconds) / short for seconds in (turns.other_s, turns.ours_s))
    return [
        Row(
            name="long series",
            case=f"{movie.kind.words}, over and over, chunks in memory",
            quantity=f"cost of a frame beyond T = {long:,} over that of one at T = {short:,}",
            median=statistics.median(ratios),
            low=min(ratios),
            high=max(ratios),
            goal=Goal.at_most(session.goal(_GOAL)),
            ours=f"{late:.3f} ms late, {1e3 * whole_s:.3f} ms on the whole",
            other=f"{early:.3f} ms early",
            threads=threads,
            rounds=rounds,
        )
    ]


def _feed(chain: Chain, pieces: Iterator[FrameBatch], frames: int) -> float:
    """Seconds to feed the next frames, g2 read after every piece."""
    start = time.perf_counter()
    last = chain.frames + frames
    while chain.frames < last:
        chain.feed(next(pieces))
        chain.read()
    return time.perf_counter() - start


def _new_series(movie: Movie, frames: int, threads: int) -> float:
    """Seconds for the frames that follow the first ``frames``, in which memory is touched for the first time."""
    pieces = movie.again_and_again(2 * frames)
    with Chain(movie, threads) as chain:
        _feed(chain, pieces, frames)
        return _feed(chain, pieces, frames)
