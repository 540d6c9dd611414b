"""Where the time goes: seconds per frame of each stage of our chain, in one thread."""

from __future__ import annotations

import statistics

from benchmarks import ours
from benchmarks.comparison import Row
from benchmarks.session import Session

_CASES = ((0.001, 320), (0.01, 320), (0.1, 192))


def measure(session: Session) -> list[Row]:
    """One row per stage and occupancy."""
    wanted = session.choices.photons
    rows: list[Row] = []
    for photons, frames in _CASES:
        if wanted is None or photons in wanted:
            rows += _stages(session, photons, frames)
    return rows


def _stages(session: Session, photons: float, frames: int) -> list[Row]:
    movie = session.movie("eiger4m", photons, frames)
    ours.stage_seconds(movie)
    rounds = [ours.stage_seconds(movie) for _ in range(session.choices.rounds)]
    whole = statistics.median(sum(stages.values()) for stages in rounds)
    rows = []
    for stage in rounds[0]:
        milliseconds = [1e3 * stages[stage] / movie.kind.frames for stages in rounds]
        share = statistics.median(stages[stage] for stages in rounds) / whole
        rows.append(
            Row(
                name="profile",
                case=movie.kind.words,
                quantity=f"ms per frame: {stage}",
                median=statistics.median(milliseconds),
                low=min(milliseconds),
                high=max(milliseconds),
                rounds=session.choices.rounds,
                note=f"{share:.0%} of the whole",
            )
        )
    return rows
