"""How far our g2 and two-time maps are from a plain float64 numpy multi-tau and from xpcs-correlator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import ours
from benchmarks.comparison import Goal, Row
from benchmarks.movies import Movie
from benchmarks.reference import dense_frames, multi_tau_g2
from benchmarks.session import Session

_CASES = ((0.01, "uint32", 512), (0.01, "uint16", 512), (0.1, "uint32", 512), (1.0, "uint32", 512))
_PEER_LAGS = 8
LARGEST_DIFFERENCE = 1e-12


class DisagreementError(RuntimeError):
    """Two sides that must give the same numbers do not: their speeds must not be compared."""


def measure(session: Session) -> list[Row]:
    """Rows per movie: g2 against each reference, and two-time maps."""
    wanted = session.choices.photons
    rows: list[Row] = []
    for photons, dtype, frames in _CASES:
        if wanted is None or photons in wanted:
            rows += _compare(session, session.movie("eiger500k", photons, frames, dtype))
    return rows


def difference_from_peer(result: ours.ChainResult, stored: Path) -> np.ndarray:
    """Largest relative difference of g2 of each ring from what the peer chain stored, at the lags of single frames.

    Raises
    ------
    DisagreementError
        Photons per ring and frame, which are whole numbers, are not equal.
    """
    with np.load(stored) as peer:
        g2, ring_counts = peer["g2"], peer["ring_counts"]
    if not np.array_equal(ring_counts, result.ring_counts):
        raise DisagreementError("the photons per ring and frame are not those of the peer")
    first = result.lag_frames <= _PEER_LAGS
    return _difference(result.g2[:, first], g2[:, result.lag_frames[first]])


def _compare(session: Session, movie: Movie) -> list[Row]:
    threads = session.choices.threads
    result, alone = ours.run_chain(movie, threads), ours.run_chain(movie, 1)
    if not np.array_equal(result.g2, alone.g2):
        raise DisagreementError(f"{movie.kind.words}: g2 in {threads} threads is not g2 in one")
    frames = dense_frames(movie.data_files, movie.kind.frames)
    reference = multi_tau_g2(frames, movie.ring_of_pixel, result.lag_frames)
    peers, name = session.peers_with(movie)
    stored = peers.scratch / "agreement.npz"
    peers.call("run_chain", name=name, threads=threads, from_files=False, result=str(stored))
    of_peer = difference_from_peer(result, stored)
    return [
        _row(
            movie,
            "g2, float64 numpy, all lags",
            _difference(result.g2, reference),
            threads,
            LARGEST_DIFFERENCE,
        ),
        _row(movie, f"g2, xpcs-correlator, lags 1..{_PEER_LAGS}", of_peer, threads, LARGEST_DIFFERENCE),
        _row(movie, "two-time, xpcs-correlator (float32)", _two_time(session, movie, name), threads, None),
    ]


def _two_time(session: Session, movie: Movie, name: str) -> np.ndarray:
    """Largest difference of the maps of each ring, relative to the mean of the map, from the peer's."""
    peers, threads = session.peers(), session.choices.threads
    path = str(peers.scratch / "two_time.npy")
    peers.call("load_events", name=name, threads=threads)
    peers.call("run_two_time_sparse", name=name, threads=threads, result=path)
    run = ours.run_two_time(ours.decode_words(movie), movie.partition, movie.kind.frames, threads)
    upper = np.triu_indices(movie.kind.frames, 1)
    largest = []
    for own, other in zip(run.maps, np.load(path), strict=True):
        # Without photons in a frame we say "no value" where the peer has zero.
        values, wanted = np.nan_to_num(own[upper]), other[upper]
        largest.append(float(np.abs(values - wanted).max() / wanted.mean()))
    return np.array(largest)


def _difference(g2: np.ndarray, other: np.ndarray) -> np.ndarray:
    if np.isnan(g2).any() or np.isnan(other).any():
        raise DisagreementError("some g2 has no value and cannot be compared")
    largest: np.ndarray = np.abs(g2 / other - 1).max(axis=1)
    return largest


def _row(movie: Movie, reference: str, difference: np.ndarray, threads: int, goal: float | None) -> Row:
    largest = float(difference.max())
    return Row(
        name="agreement",
        case=movie.kind.words,
        quantity=f"largest relative difference: {reference}",
        median=largest,
        low=float(difference.min()),
        high=largest,
        goal=Goal.at_most(goal),
        threads=threads,
        note="the largest of all rings, and the range over rings; photons per ring and frame are equal, and so is g2 "
        "in one thread, bit for bit",
    )
