"""Compressed chunks to g2 of all rings and I(q, t): ours, read after every 64 frames, against the best peer chain."""

from __future__ import annotations

from pathlib import Path

from benchmarks import ours
from benchmarks.agreement import LARGEST_DIFFERENCE, DisagreementError, difference_from_peer
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

PEER_CHAIN = "bslz4_to_sparse + xpcs-correlator"
# photons per pixel, pixel type, read from files in the timed part, frames, goal
_CASES = (
    (0.001, "uint32", False, 1280, 8.0),
    (0.01, "uint32", False, 1280, 5.0),
    (0.1, "uint32", False, 640, 5.0),
    (0.01, "uint16", False, 320, None),
    (0.01, "uint32", True, 1280, None),
)


def measure(session: Session) -> list[Row]:
    """One row per occupancy, pixel type and place of the data."""
    wanted = session.choices.photons
    return [_compare(session, *case) for case in _CASES if wanted is None or case[0] in wanted]


def _compare(
    session: Session, photons: float, dtype: str, from_files: bool, frames: int, goal: float | None
) -> Row:
    movie = session.movie("eiger4m", photons, frames, dtype)
    peers, name = session.peers_with(movie)
    threads = session.choices.threads
    result = str(peers.scratch / "chain.npz")

    def peer_chain() -> float:
        answer = peers.call("run_chain", name=name, threads=threads, from_files=from_files, result=result)
        return float(answer["seconds"])

    results: list[ours.ChainResult] = []

    def our_chain() -> float:
        results[:] = [ours.run_chain(movie, threads, from_files=from_files)]
        return results[0].seconds

    turns = interleave(our_chain, peer_chain, session.choices.rounds)
    # Only equal results may be compared in speed.
    largest = difference_from_peer(results[0], Path(result)).max()
    if largest > LARGEST_DIFFERENCE:
        raise DisagreementError(f"{movie.kind.words}: g2 differs from the peer's by {largest:.1e}")
    return times_faster(
        turns,
        name="chain",
        case=f"{movie.kind.words}, {'from files' if from_files else 'chunks in memory'}",
        against=PEER_CHAIN,
        frames=movie.kind.frames,
        goal=session.goal(goal),
        threads=threads,
        note="ours is read after every 64 frames, the peer computes after the series; their g2 agree to 1e-12; "
        "the first 256 frames of a long movie, in which memory is first touched, are not timed on our side",
    )
