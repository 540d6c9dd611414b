"""How far our g2 is from a plain float64 numpy multi-tau and from xpcs-correlator, and whether threads change it."""

from __future__ import annotations

import numpy as np

from benchmarks import ours
from benchmarks.comparison import Goal, Row
from benchmarks.movies import Movie
from benchmarks.reference import dense_frames, multi_tau_g2
from benchmarks.session import Session

_CASES = ((0.01, "uint32", 512), (0.01, "uint16", 512), (0.1, "uint32", 512), (1.0, "uint32", 512))
_PEER_LAGS = 8
_LARGEST_DIFFERENCE = 1e-12


def measure(session: Session) -> list[Row]:
    """Two rows per movie: against each reference. The ratio of the run is not timed here."""
    wanted = session.choices.photons
    rows: list[Row] = []
    for photons, dtype, frames in _CASES:
        if wanted is None or photons in wanted:
            rows += _compare(session, session.movie("eiger500k", photons, frames, dtype))
    return rows


def _compare(session: Session, movie: Movie) -> list[Row]:
    threads = session.choices.threads
    result = ours.run_chain(movie, threads)
    alone = ours.run_chain(movie, 1)
    same = np.array_equal(result.g2, alone.g2, equal_nan=True)
    frames = dense_frames(movie.data_files, movie.kind.frames)
    reference = multi_tau_g2(frames, movie.ring_of_pixel, result.lag_frames)
    note = "" if same else f"WRONG: g2 in {threads} threads differs from g2 in one"
    return [
        _row(movie, "float64 numpy, all lags", result.g2, reference, threads, note),
        _row(movie, *_against_peer(session, movie, result), threads, note),
    ]


def _against_peer(
    session: Session, movie: Movie, result: ours.ChainResult
) -> tuple[str, np.ndarray, np.ndarray]:
    """What it is compared with, our g2 and that of the peer at the first lags."""
    peers, name = session.peers_with(movie)
    path = str(peers.scratch / "agreement.npz")
    peers.call("run_chain", name=name, threads=session.choices.threads, from_files=False, result=path)
    with np.load(path) as stored:
        g2, ring_counts = stored["g2"], stored["ring_counts"]
    if not np.array_equal(ring_counts, result.ring_counts):
        raise ValueError(f"{movie.kind.words}: the photons per ring and frame are not the peer's")
    first = result.lag_frames <= _PEER_LAGS
    return f"xpcs-correlator, lags 1..{_PEER_LAGS}", result.g2[:, first], g2[:, result.lag_frames[first]]


def _row(movie: Movie, reference: str, g2: np.ndarray, other: np.ndarray, threads: int, note: str) -> Row:
    if np.isnan(g2).any() or np.isnan(other).any():
        raise ValueError(f"{movie.kind.words}: some g2 has no value and cannot be compared")
    difference = np.abs(g2 / other - 1)
    return Row(
        name="agreement",
        case=movie.kind.words,
        quantity=f"largest relative difference from {reference}",
        median=float(np.median(difference.max(axis=1))),
        low=float(difference.max(axis=1).min()),
        high=float(difference.max()),
        goal=Goal(_LARGEST_DIFFERENCE, "at most"),
        threads=threads,
        note=note
        or "range over the rings; photons per ring and frame, and g2 for any number of threads, are equal",
    )
