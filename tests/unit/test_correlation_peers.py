"""g2 and two-time maps are those of scikit-beam and xpcs-correlator, which get the same movies.

Both run in the environment that ``python -m benchmarks.peers`` makes, as ``.ci/run`` does; without it these tests are
skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from speckle_movie import SpeckleMovie, block_partition
from word_movies import correlate, two_time_of

from benchmarks.peer_process import PeerProcess
from benchmarks.peers import peers_are_installed

PARTITION = block_partition((48, 50), rings=3, sectors=4, unused=120)
LEVELS, LAGS = 4, 8
SCIKIT_BEAM = ("correlate_by_scikit_beam", {"levels": LEVELS, "lags_per_level": LAGS})
XPCS_CORRELATOR: tuple[str, dict[str, int]] = ("correlate_by_xpcs_correlator", {})


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerProcess]:
    if not peers_are_installed(scikit_beam=True):
        pytest.skip(
            "scikit-beam and xpcs-correlator are not installed; python -m benchmarks.peers installs them"
        )
    with PeerProcess(tmp_path_factory.mktemp("peers"), scikit_beam=True) as process:
        yield process


def results_of(
    peers: PeerProcess, peer: tuple[str, dict[str, int]], movie: np.ndarray
) -> dict[str, np.ndarray]:
    """lag_frames, g2 and two_time as a peer has them."""
    function, choices = peer
    arrays = {"movie": peers.send("movie", movie), "ring_map": peers.send("ring_map", PARTITION.ring_map())}
    result = str(peers.scratch / "result.npz")
    peers.call(function, **arrays, **choices, result=result)
    with np.load(result) as stored:
        return dict(stored)


def speckle_movie(frames: int, i0_noise: float = 0.0) -> np.ndarray:
    """Photons, shape (frame, y, x); the speckle relaxes within tens of frames."""
    speckle = SpeckleMovie(np.full(PARTITION.shape_yx, 0.4), 0.05, 4, np.random.default_rng(frames))
    return np.stack(list(speckle.frames(frames, i0_noise)))


def movie_of_an_unsteady_beam() -> np.ndarray:
    """Frames of all intensities, and one without a photon."""
    movie = speckle_movie(150, i0_noise=0.3)
    movie[70] = 0
    return movie


def equal_ring_sums(movie: np.ndarray) -> np.ndarray:
    """The movie with photons added until all frames have equally many in each ring."""
    flat = movie.reshape(len(movie), -1).copy()
    rings = PARTITION.ring_map().ravel()
    for ring in range(1, PARTITION.rings + 1):
        inside = np.flatnonzero(rings == ring)
        missing = flat[:, inside].sum(axis=1)
        missing = missing.max() - missing
        for frame, photons in enumerate(missing):
            np.add.at(flat[frame], np.resize(inside, photons), 1)
    return flat.reshape(movie.shape)


def test_g2_is_that_of_scikit_beam(peers: PeerProcess) -> None:
    # It divides by averages over time, we by products of single frames. In a steady beam both are the same.
    movie = equal_ring_sums(speckle_movie(300))
    theirs, ours = results_of(peers, SCIKIT_BEAM, movie), correlate(movie, PARTITION, LAGS).result()
    # The first lag of its higher levels is one of single frames or smaller sums with us.
    lags = [lag << level for level in range(LEVELS) for lag in range(LAGS // 2 + 1 if level else 1, LAGS)]
    assert set(lags) <= set(theirs["lag_frames"].tolist()) & set(ours.lag_frames.tolist())
    g2 = theirs["g2"][:, np.searchsorted(theirs["lag_frames"], lags)]
    np.testing.assert_allclose(ours.g2[:, np.searchsorted(ours.lag_frames, lags)], g2, rtol=1e-12)


def test_g2_is_that_of_xpcs_correlator(peers: PeerProcess) -> None:
    # It divides as we do, and has only lags of single frames.
    movie = movie_of_an_unsteady_beam()
    theirs, ours = results_of(peers, XPCS_CORRELATOR, movie), correlate(movie, PARTITION, LAGS).result()
    assert np.array_equal(theirs["lag_frames"][:LAGS], ours.lag_frames[1 : LAGS + 1])
    np.testing.assert_allclose(ours.g2[:, 1 : LAGS + 1], theirs["g2"][:, :LAGS], rtol=1e-12)


@pytest.mark.parametrize("peer", [SCIKIT_BEAM, XPCS_CORRELATOR], ids=["scikit-beam", "xpcs-correlator"])
@pytest.mark.parametrize("frames_per_bin", [1, 4])
def test_two_time_maps_are_those_of_peers(
    peers: PeerProcess, peer: tuple[str, dict[str, int]], frames_per_bin: int
) -> None:
    # All three divide the mean product of two frames by the means of both. They know no bins and get sums of frames.
    movie = movie_of_an_unsteady_beam()
    bins = len(movie) // frames_per_bin
    sums = movie[: bins * frames_per_bin].reshape(bins, frames_per_bin, *PARTITION.shape_yx).sum(axis=1)
    theirs = results_of(peers, peer, sums)["two_time"]
    ours = two_time_of(PARTITION, movie, 2 * bins)
    assert ours.frames_per_bin == frames_per_bin
    # Our diagonal has no value, xpcs-correlator fills only the half above it.
    pairs = np.triu_indices(bins, 1)
    for ring in range(PARTITION.rings):
        # Ours are float32: the nearest to what the others have in float64.
        assert np.array_equal(
            ours.result(ring)[pairs], theirs[ring][pairs].astype(np.float32), equal_nan=True
        )
