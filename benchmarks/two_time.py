"""Full two-time maps of all rings from decoded photons: ours, the best sparse kernel, and dense matrix products."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import ours
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

_PHOTONS, _FRAMES = 0.01, 1000
_DENSE_GOAL, _SPARSE_GOAL = 50.0, 2.0


def measure(session: Session) -> list[Row]:
    """Two rows: against each peer."""
    movie = session.movie("eiger500k", _PHOTONS, _FRAMES)
    peers, name = session.peers_with(movie)
    threads = session.choices.threads
    peers.call("load_events", name=name, threads=threads)
    decoded = ours.decode_words(movie)
    rows = []
    for function, against, goal in (
        ("run_two_time_dense", "dense float32 X Xᵀ per ring", _DENSE_GOAL),
        ("run_two_time_sparse", "xpcs-correlator, transpose included", _SPARSE_GOAL),
    ):
        turns = interleave(
            lambda: ours.run_two_time(decoded, movie.partition, movie.kind.frames, threads).seconds,
            _peer_call(session, function, name),
            session.choices.rounds,
        )
        rows.append(
            times_faster(
                turns,
                name="two-time",
                case=f"{movie.kind.words}, {movie.partition.rings} full maps",
                against=against,
                frames=movie.kind.frames,
                goal=session.goal(goal),
                threads=threads,
                note="from decoded photons to normalised maps; filling the dense matrices is not counted",
            )
        )
    return rows


def _peer_call(session: Session, function: str, name: str) -> Callable[[], float]:
    return lambda: float(
        session.peers().call(function, name=name, threads=session.choices.threads)["seconds"]
    )
