"""g2 of bands of ages equals plain numpy over the pairs whose later frame lies in the band, also after merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speckle_movie import block_partition
from word_movies import order_of, pieces, put_frames

from backend.correlation.age_bands import AgeBands, AgeCut
from backend.correlation.multitau import MultiTau
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords

PARTITION = block_partition((16, 15), rings=2, sectors=5, unused=11)


def follow(
    movie: np.ndarray,
    most_bands: int,
    longest_pieces: tuple[int, ...] = (WORD_FRAMES,),
    partition: RingPartition = PARTITION,
) -> tuple[AgeBands, MultiTau]:
    """The movie, shape (frame, y, x), in pieces."""
    order = order_of(partition)
    words, multitau, ages = PhotonWords(order), MultiTau(partition, order), AgeBands(partition, most_bands)
    for piece in pieces(len(movie), longest_pieces):
        put_frames(words, movie, piece)
        multitau.add(words, piece.stop - piece.start)
        ages.add(multitau)
    return ages, multitau


def twin_cut(flat: np.ndarray, pixels: np.ndarray, first: int, last: int, lag: int) -> float:
    """g2 at one lag of the pairs of samples whose later one is complete after ``first`` and until ``last``."""
    level = 0
    while lag >> level > 8:
        level += 1
    width = 1 << level
    samples = len(flat) // width
    sums = flat[: samples * width, pixels].reshape(samples, width, pixels.size).sum(axis=1).astype(np.float64)
    later = np.arange(samples)
    ends = (later + 1) * width
    later = later[(ends > first) & (ends <= last) & (later >= lag >> level)]
    now, then = sums[later], sums[later - (lag >> level)]
    denominator = (now.sum(axis=1) * then.sum(axis=1)).sum()
    return pixels.size * (now * then).sum() / denominator if denominator > 0 else np.nan


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(0, 900),
    mean=st.sampled_from([0.01, 0.4, 30.0]),
    most_bands=st.sampled_from([2, 4, 32]),
    most_cuts=st.integers(1, 5),
    longest_pieces=st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=4).map(tuple),
)
def test_cuts_are_those_of_the_pairs_in_the_band(
    seed: int, frames: int, mean: float, most_bands: int, most_cuts: int, longest_pieces: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(seed)
    movie = (generator.poisson(mean, (frames, 16, 15)) * (generator.random((frames, 1, 1)) > 0.1)).astype(
        np.uint32
    )
    ages, _ = follow(movie, most_bands, longest_pieces)
    assert ages.bands <= most_bands
    assert ages.bands == frames // ages.band_frames
    cuts = ages.cuts(1, most_cuts, gradient=1.25)
    assert len(cuts) == min(most_cuts, ages.bands)
    assert [cut.first_frame for cut in cuts[1:]] == [cut.last_frame for cut in cuts[:-1]]
    ring = PARTITION.cell_of_pixel // PARTITION.sectors
    pixels = np.flatnonzero((PARTITION.cell_of_pixel >= 0) & (ring == 1))
    for cut in cuts:
        flat = movie.reshape(frames, -1)
        expected = [
            twin_cut(flat, pixels, cut.first_frame, cut.last_frame, lag) / 1.25
            for lag in cut.lag_frames.tolist()
        ]
        np.testing.assert_allclose(cut.g2, expected, rtol=1e-11)


def test_one_cut_is_g2_of_the_series() -> None:
    movie = np.random.default_rng(3).poisson(0.3, (512, 16, 15)).astype(np.uint32)
    ages, multitau = follow(movie, 4)
    (cut,) = ages.cuts(0, 1)
    result = multitau.result()
    assert (cut.first_frame, cut.last_frame) == (0, 512)
    assert np.array_equal(cut.lag_frames, result.lag_frames[1:])
    np.testing.assert_allclose(cut.g2, result.g2[0, 1:], rtol=1e-12)
    np.testing.assert_allclose(cut.g2_err, result.g2_err[0, 1:], rtol=1e-9)


def test_neighbours_merge_and_no_more_than_so_many_are_kept() -> None:
    movie = np.zeros((64 * 21, 16, 15), np.uint32)
    movie[:, 3, 4] = 1
    ages, _ = follow(movie, 4)
    assert (ages.bands, ages.band_frames) == (2, 512)
    edges = [(cut.first_frame, cut.last_frame) for cut in ages.cuts(0, 5)]
    assert edges == [(0, 512), (512, 1024)]


@pytest.mark.parametrize("most_bands", [0, 5])
def test_an_odd_number_of_bands_is_refused(most_bands: int) -> None:
    with pytest.raises(ValueError, match="even"):
        AgeBands(PARTITION, most_bands)


def test_a_sample_that_slows_down_is_seen_and_the_errors_are_its_scatter() -> None:
    partition = block_partition((60, 60), rings=1, sectors=12)
    young, old = [], []
    for seed in range(12):
        first, last = ages_of_a_slowing_sample(partition, seed)
        young.append(first)
        old.append(last)
    for cuts, memory in ((young, 4.0), (old, 16.0)):
        lag = cuts[0].lag_frames[:6]
        values = np.array([cut.g2[:6] for cut in cuts])
        errors = np.array([cut.g2_err[:6] for cut in cuts])
        expected = 1 + 0.5 * np.exp(-2 * lag / memory)
        assert np.all(np.abs(values.mean(axis=0) - expected) < 5 * values.std(axis=0) / np.sqrt(len(cuts)))
        ratio = np.sqrt((errors**2).mean(axis=0)) / values.std(axis=0, ddof=1)
        assert np.all((ratio > 0.5) & (ratio < 2.0))


def ages_of_a_slowing_sample(partition: RingPartition, seed: int) -> tuple[AgeCut, AgeCut]:
    """Fields that forget within 4 frames, and after half of the series within 16; contrast 0.5."""
    generator = np.random.default_rng(seed)
    frames, shape = 256, (60, 60, 2)
    field = generator.normal(size=(2, *shape))
    movie = np.empty((frames, 60, 60), np.uint32)
    for t in range(frames):
        keep = np.exp(-1 / (4.0 if t < frames // 2 else 16.0))
        field = keep * field + np.sqrt(1 - keep**2) * generator.normal(size=field.shape)
        movie[t] = generator.poisson(0.25 * (field**2).sum(axis=(0, 3)) * 0.4)
    ages, _ = follow(movie, 8, partition=partition)
    first, last = ages.cuts(0, 2)
    return first, last
