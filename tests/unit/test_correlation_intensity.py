"""Mean image, I(t), I(q) and the correction for the slope of I(q) across a ring."""

from __future__ import annotations

import numpy as np
import pytest
from speckle_movie import block_partition, events_of

from backend.correlation.intensity import MeanImage, RadialIntensity, TotalTrace
from backend.correlation.multitau import MultiTau
from backend.photon_events import RingPartition


def test_mean_image_is_the_sum_of_all_frames() -> None:
    movie = np.random.default_rng(1).poisson(0.3, (9, 5, 6)).astype(np.uint32)
    image = MeanImage(30)
    for frame in movie:
        image.add(*events_of(frame))
    assert image.frames == 9
    assert np.array_equal(image.counts, movie.sum(axis=0).ravel())


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


def radial(partition: RingPartition, movie: np.ndarray, span: int, first_number: int = 0) -> RadialIntensity:
    intensity = RadialIntensity(partition, span)
    for number, frame in enumerate(movie):
        intensity.add(first_number + number, *events_of(frame))
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
    multitau, intensity = MultiTau(SLOPE), RadialIntensity(SLOPE, 5)
    for number in range(150):
        events = events_of(generator.poisson(mean))
        multitau.add(*events)
        intensity.add(number, *events)
    uncorrected = multitau.result()
    result = multitau.result(intensity.gradient())
    assert uncorrected.g2[0].min() > 1.1
    assert np.all(np.abs(result.g2 - 1) < 4.5 * result.g2_err)
