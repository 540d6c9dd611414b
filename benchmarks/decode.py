"""Decoding alone: compressed chunks to what the chain goes on with, one thread each."""

from __future__ import annotations

from benchmarks import ours
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

_CASES = ((0.001, 320, 8.0), (0.01, 320, 4.0), (0.1, 192, 4.0))


def measure(session: Session) -> list[Row]:
    """One row per occupancy."""
    wanted = session.choices.photons
    return [_compare(session, *case) for case in _CASES if wanted is None or case[0] in wanted]


def _compare(session: Session, photons: float, frames: int, goal: float) -> Row:
    movie = session.movie("eiger4m", photons, frames)
    peers, name = session.peers_with(movie)
    turns = interleave(
        lambda: ours.run_decode(movie),
        lambda: float(peers.call("run_decode", name=name, threads=1)["seconds"]),
        session.choices.rounds,
    )
    return times_faster(
        turns,
        name="decode",
        case=movie.kind.words,
        against="bslz4_to_sparse",
        frames=movie.kind.frames,
        goal=session.goal(goal),
        threads=1,
        note="ours to words of 64 frames per pixel, from which the chain goes on; the peer to (index, value)",
    )
