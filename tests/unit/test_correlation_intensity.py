"""Mean image, I(t), I(q) and the correction for the slope of I(q) across a ring."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import cell_sums
from speckle_movie import block_partition
from word_movies import correlate, order_of, pieces, put_frames, random_counts

from backend.correlation.intensity import MeanImage, RadialIntensity, TotalTrace, photons_per_frame
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords


def frame_mask(piece: slice) -> int:
    """Bits of the frames of a piece, which lie in one word."""
    first = piece.start % WORD_FRAMES
    return (1 << (first + piece.stop - piece.start)) - (1 << first)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 150),
    mean=st.sampled_from([0.02, 2.0, 3000.0]),
    longest=st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=3),
    threads=st.integers(0, 3),
    tile_pixels=st.sampled_from([64, 65536]),
)
def test_images_fine_rings_and_photons_are_sums_of_frames(
    seed: int, frames: int, mean: float, longest: list[int], threads: int, tile_pixels: int
) -> None:
    generator = np.random.default_rng(seed)
    partition = block_partition((24, 30), rings=2, fine_per_ring=4, unused=50)
    movie = random_counts(generator, frames, 720, mean)
    order = order_of(partition, tile_pixels)
    words = PhotonWords(order)
    with ThreadPoolExecutor(max(threads, 1)) as threads_of_pool:
        pool = threads_of_pool if threads else None
        image = MeanImage(order, partition.fine_of_pixel, partition.fine_rings, pool)
        for piece in pieces(frames, longest):
            put_frames(words, movie, piece)
            fine = image.add(words, frame_mask(piece), piece.stop - piece.start)
            new = movie[piece].astype(np.int64)
            assert np.array_equal(fine, cell_sums(new.sum(axis=0), partition.fine_of_pixel, 8)[:8])
            first = piece.start % WORD_FRAMES
            photons = photons_per_frame(words, first, first + len(new))
            assert np.array_equal(photons, new.sum(axis=1))
    assert image.frames == frames
    assert np.array_equal(image.counts, movie.sum(axis=0, dtype=np.int64))


@pytest.mark.parametrize("frames", [0, 1, 1999, 2000, 3999, 4000, 12345])
def test_the_trace_stays_short_and_keeps_the_mean(frames: int) -> None:
    counts = np.random.default_rng(frames).poisson(50, frames)
    trace = TotalTrace(good_pixels=25)
    for number, value in enumerate(counts):
        trace.add(number, int(value))
    frame, intensity = trace.result()
    per_point = 1
    while frames // per_point >= 2000:
        per_point *= 2
    points = frames // per_point
    means = counts[: points * per_point].reshape(points, per_point).mean(axis=1) / 25
    np.testing.assert_allclose(intensity, means)
    assert frame.tolist() == [per_point * (point + 1) - 1 for point in range(points)]


def test_the_trace_of_no_good_pixels_is_zero() -> None:
    trace = TotalTrace(0)
    trace.add(3, 0)
    assert trace.result()[1].tolist() == [0.0]


def radial(
    partition: RingPartition,
    movie: np.ndarray,
    span: int,
    first_number: int = 0,
    longest: tuple[int, ...] = (1,),
) -> RadialIntensity:
    intensity = RadialIntensity(partition, span)
    frames = movie.reshape(len(movie), partition.fine_of_pixel.size).astype(np.int64)
    for piece in pieces(len(frames), longest):
        fine = cell_sums(frames[piece].sum(axis=0), partition.fine_of_pixel, partition.fine_rings)[:-1]
        bright = np.flatnonzero(frames[piece].any(axis=1)) + first_number + piece.start
        intensity.add(bright.tolist(), piece.stop - piece.start, fine)
    return intensity


def test_first_newest_and_whole_curves() -> None:
    partition = block_partition((12, 10), rings=2, fine_per_ring=3, unused=4)
    movie = np.random.default_rng(2).poisson(2.0, (20, 12, 10)).astype(np.uint32)
    intensity = radial(partition, movie, 5, first_number=100)

    def profile(frames: np.ndarray) -> np.ndarray:
        inside = partition.fine_of_pixel >= 0
        mean = frames.reshape(len(frames), -1).mean(axis=0)
        return np.array([mean[inside & (partition.fine_of_pixel == fine)].mean() for fine in range(6)])

    np.testing.assert_allclose(intensity.first()[0], profile(movie[:5]))
    np.testing.assert_allclose(intensity.newest()[0], profile(movie[-5:]))
    np.testing.assert_allclose(intensity.whole(), profile(movie))
    assert intensity.first()[1] == (100, 104)
    assert intensity.newest()[1] == (115, 119)
    # Whole pieces of four frames: two of them hold at least five.
    in_pieces = radial(partition, movie, 5, first_number=100, longest=(4,))
    np.testing.assert_allclose(in_pieces.first()[0], profile(movie[:8]))
    np.testing.assert_allclose(in_pieces.newest()[0], profile(movie[-8:]))
    np.testing.assert_allclose(in_pieces.whole(), profile(movie))
    assert in_pieces.first()[1] == (100, 107)
    assert in_pieces.newest()[1] == (112, 119)


def test_frames_without_beam_are_neither_first_nor_newest() -> None:
    partition = block_partition((12, 10), rings=2)
    movie = np.ones((10, 12, 10), np.uint32)
    movie[:3] = movie[-4:] = 0
    intensity = radial(partition, movie, 2)
    assert intensity.first()[1] == (3, 4)
    assert intensity.newest()[1] == (4, 5)
    np.testing.assert_allclose(intensity.newest()[0], 1.0)
    np.testing.assert_allclose(intensity.whole(), 0.3)


def test_no_frames_give_zeros_not_errors() -> None:
    intensity = radial(block_partition((12, 10), rings=2), np.empty((0, 12, 10)), 5)
    assert intensity.first()[1] == (0, 0)
    assert not intensity.whole().any()
    assert intensity.gradient().tolist() == [1.0, 1.0]


SLOPE = block_partition((48, 48), rings=2, sectors=12, fine_per_ring=12)
FINE_CURVE = (SLOPE.fine_q_inv_nm / 0.01) ** -4.0
STEEP = np.repeat(FINE_CURVE, 2 * 48).reshape(48, 48)


def test_the_gradient_factor_is_that_of_the_curve() -> None:
    generator = np.random.default_rng(3)
    found = np.stack([radial(SLOPE, generator.poisson(STEEP, (40, 48, 48)), 5).gradient() for _ in range(20)])
    fine = FINE_CURVE.reshape(2, 12)
    expected = (fine**2).mean(axis=1) / fine.mean(axis=1) ** 2
    assert expected[0] > 1.1
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=4 * found.std(axis=0).max() / np.sqrt(20))


def test_the_speckle_of_few_pixels_is_not_taken_for_a_slope() -> None:
    partition = block_partition((48, 12), rings=4, fine_per_ring=6)
    generator = np.random.default_rng(5)
    found = []
    for _ in range(40):
        still_pattern = generator.exponential(1.0, (48, 12))
        found.append(radial(partition, generator.poisson(still_pattern, (50, 48, 12)), 5).gradient())
    # Taken from the fine rings themselves, 24 pixels each, the factor would be 1.04.
    assert np.mean(found) < 1.005


def test_a_steep_static_curve_without_speckle_has_g2_of_one() -> None:
    # Equal intensity within a fine ring, so that nothing but the correction itself is tested.
    mean = STEEP
    generator = np.random.default_rng(4)
    movie = generator.poisson(mean, (150, 48, 48))
    multitau, intensity = correlate(movie, SLOPE), radial(SLOPE, movie, 5)
    uncorrected = multitau.result()
    result = multitau.result(intensity.gradient())
    assert uncorrected.g2[0].min() > 1.1
    assert np.all(np.abs(result.g2 - 1) < 4.5 * result.g2_err)
