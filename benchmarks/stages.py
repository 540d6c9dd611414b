"""Where the time goes: CPU time per frame of each step of our chain, in one thread."""

from __future__ import annotations

import statistics

from benchmarks.comparison import Row
from benchmarks.movies import Movie
from benchmarks.session import Session
from benchmarks.steps import step_seconds

_CASES = ((0.001, 320), (0.01, 320), (0.1, 192))


def measure(session: Session) -> list[Row]:
    """One row per step and occupancy, and one for all steps together."""
    wanted = session.choices.photons
    rows: list[Row] = []
    for photons, frames in _CASES:
        if wanted is None or photons in wanted:
            rows += _steps(session, photons, frames)
    return rows


def _steps(session: Session, photons: float, frames: int) -> list[Row]:
    movie = session.movie("eiger4m", photons, frames)
    passes = step_seconds(movie, session.choices.rounds)
    whole = [sum(steps.values()) for steps in passes]
    rows = [_row(movie, "all steps", whole, "in one thread, chunks in memory, g2 read after every 64 frames")]
    for step in passes[0]:
        seconds = [steps[step] for steps in passes]
        share = statistics.median(seconds) / statistics.median(whole)
        rows.append(_row(movie, step, seconds, f"{share:.0%} of all"))
    return rows


def _row(movie: Movie, step: str, seconds: list[float], share: str) -> Row:
    milliseconds = [1e3 * value / movie.kind.frames for value in seconds]
    return Row(
        name="profile",
        case=movie.kind.words,
        quantity=f"ms of CPU per frame: {step}",
        median=statistics.median(milliseconds),
        low=min(milliseconds),
        high=max(milliseconds),
        ours=share,
        rounds=len(seconds),
    )
