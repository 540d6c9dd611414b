"""Hot, flashing and dead pixels are found over a whole series; speckle, steep I(q) and streaks are left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from speckle_movie import block_partition

from backend.detector import odd_pixels
from backend.detector.odd_pixels import judge_pixels
from backend.detector.pixel_watch import FALSE_PIXELS, OddPixels, PixelWatch

SHAPE_YX = (600, 700)
FINE_WIDTH_PX = 8
PIXELS = SHAPE_YX[0] * SHAPE_YX[1]


def radius_px() -> np.ndarray:
    rows, columns = np.indices(SHAPE_YX)
    return np.hypot(rows - 300.2, columns - 340.7)


def fine_rings() -> tuple[np.ndarray, int]:
    """Fine ring of each pixel, -1 in the middle and in a gap."""
    radius = radius_px()
    fine = ((radius - 20) // FINE_WIDTH_PX).astype(np.int16)
    fine[radius < 20] = -1
    fine[290:300] = -1
    return fine.ravel(), int(fine.max()) + 1


def even(generator: np.random.Generator) -> np.ndarray:
    return np.ones(SHAPE_YX)


def speckle(generator: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    intensity = np.zeros(SHAPE_YX)
    for weight in weights:
        field = [gaussian_filter(generator.normal(size=SHAPE_YX), 0.9, mode="wrap") for _ in range(2)]
        one = field[0] ** 2 + field[1] ** 2
        intensity += weight * one / one.mean()
    return intensity


def beam_modes(generator: np.random.Generator) -> np.ndarray:
    """Contrast 0.3 of a partially coherent beam: one strong mode and weaker ones."""
    step = 0.29
    weights = np.array([step ** (i + j) for i in range(4) for j in range(4)])
    return speckle(generator, weights / weights.sum())


def full_contrast(generator: np.random.Generator) -> np.ndarray:
    return speckle(generator, np.ones(1))


LIGHT: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "even": even,
    "contrast 0.3, beam modes": beam_modes,
    "full contrast": full_contrast,
}


def summed(
    light: str, photons: float, steepness: float, seed: int, odd: dict[int, float] | None = None
) -> np.ndarray:
    """Photons of each pixel of a series of frozen speckle; mean ``photons``, I(q) falling as a power of the radius."""
    generator = np.random.default_rng(seed)
    mean = np.maximum(radius_px(), 15.0) ** -steepness
    mean *= photons / mean.mean()
    expected = (mean * LIGHT[light](generator)).ravel()
    for pixel, factor in (odd or {}).items():
        expected[pixel] = factor * mean.ravel()[pixel]
    return generator.poisson(expected)


def judged(counts: np.ndarray, area_px: float = 9.0, probability: float = 0.005) -> odd_pixels.JudgedPixels:
    return judge_pixels(counts, *fine_rings(), SHAPE_YX[1], area_px, probability)


@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("photons", [0.02, 1.0, 300.0])
@pytest.mark.parametrize("steepness", [0.0, 4.0])
def test_good_pixels_are_left_alone(light: str, photons: float, steepness: float) -> None:
    found = judged(summed(light, photons, steepness, 1))
    assert found.hot.size == 0 and found.dead.size == 0


@pytest.mark.parametrize(("light", "factor"), [("even", 2.0), ("contrast 0.3, beam modes", 40.0)])
def test_hot_and_dead_pixels_are_found_among_good_ones(light: str, factor: float) -> None:
    pixels = [150_300, 80_411, 350_020]
    # Brighter pixels hide others only at first.
    factors = dict(zip(pixels, (factor, 1e3 * factor, 1e5 * factor), strict=True))
    found = judged(summed(light, 3000.0, 2.0, 5, factors | {99_000: 0.0}))
    assert found.hot.tolist() == sorted(pixels)
    # In the darkest place between speckles there may be nothing.
    assert found.dead.tolist() == ([99_000] if light == "even" else [])


def test_zero_is_nothing_odd_where_little_is_expected() -> None:
    found = judged(summed("even", 2.0, 0.0, 3, {99_000: 0.0}))
    assert found.dead.size == 0


def test_a_streak_and_a_shadow_are_no_defects() -> None:
    counts = summed("even", 300.0, 0.0, 3).reshape(SHAPE_YX)
    counts[340:346, 400:] *= 40
    counts[310:330, 380:] = 0
    counts[500:503, 100:103] += 10**6
    counts[450, 50:52] += 10**6
    counts[200, 699] = counts[201, 0] = 10**6
    found = judged(counts.ravel())
    assert found.hot.tolist() == [200 * 700 + 699, 201 * 700, 450 * 700 + 50, 450 * 700 + 51]
    assert found.dead.size == 0


def test_a_ring_of_few_pixels_or_none_is_not_judged() -> None:
    fine = np.array([0] * 20 + [2] * 200 + [-1], np.int16)
    counts = np.full(fine.size, 1000)
    counts[[0, 30]] = 10**6
    found = judge_pixels(counts, fine, 3, 13, 1.0, 0.005)
    assert found.hot.tolist() == [30]
    assert np.isnan(found.mean).tolist() == [True, True, False]
    assert judge_pixels(np.zeros_like(counts), fine, 3, 13, 1.0, 0.005).hot.size == 0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), pixels=st.integers(1, 300), rings=st.integers(1, 5))
def test_kernels_equal_numpy(seed: int, pixels: int, rings: int) -> None:
    generator = np.random.default_rng(seed)
    fine = generator.integers(-1, rings, pixels).astype(np.int16)
    counts = generator.integers(0, 100, pixels)
    lowest, highest = generator.choice([0.0, 1.0], rings), generator.choice([50.0, np.inf], rings)
    number, total, squares = (np.zeros(rings) for _ in range(3))
    odd_pixels._add_up(counts, fine, highest, number, total, squares)
    kind = np.zeros(pixels, np.uint8)
    odd_pixels._mark(counts, fine, lowest, highest, kind)
    inside = fine >= 0
    kept = inside & (counts <= highest[fine])
    for found, power in ((number, 0), (total, 1), (squares, 2)):
        assert np.array_equal(found, np.bincount(fine[kept], counts[kept] ** power, rings))
    expected = np.where(counts > highest[fine], 1, np.where(counts < lowest[fine], 2, 0))
    assert np.array_equal(kind, np.where(inside, expected, 0))


def watch_of(frame_time_s: float = 0.1) -> PixelWatch:
    return PixelWatch(block_partition((40, 50), rings=2, sectors=4), 1.0, frame_time_s)


def follow(rates: Callable[[int], np.ndarray], frames: int, watch: PixelWatch) -> OddPixels:
    """Frames of these mean photons, looked at when it is due and at the end."""
    generator = np.random.default_rng(7)
    counts = np.zeros(2000, np.int64)
    for frame in range(frames):
        counts = counts + generator.poisson(rates(frame))
        if watch.is_due(frame + 1):
            watch.look(counts, frame + 1)
    return watch.look(counts, frames)


def test_a_pixel_that_becomes_hot_one_that_flashes_and_a_dead_one() -> None:
    def rates(frame: int) -> np.ndarray:
        rate = np.full(2000, 2.0)
        rate[300] = 60.0
        rate[500] = 2.0 if frame < 200 else 80.0
        rate[1700] = 4000.0 if frame == 100 else 2.0
        rate[900] = 0.0
        return rate

    watch = watch_of()
    found = follow(rates, 500, watch)
    assert found.frames == 500
    worst_first = [300, 500, 1700]
    assert found.hot.tolist() == sorted(worst_first, key=lambda p: -found.photons[found.hot == p][0])
    by_pixel = {int(pixel): at for at, pixel in enumerate(found.hot)}
    assert found.found_after[by_pixel[300]] == 64
    assert 200 < found.found_after[by_pixel[500]] < 320
    assert 100 < found.found_after[by_pixel[1700]] < 180
    assert {pixel: bool(found.flashing[at]) for pixel, at in by_pixel.items()} == {
        300: False,
        500: False,
        1700: True,
    }
    assert found.dead.tolist() == [900]
    np.testing.assert_allclose(found.expected, 1000, rtol=0.05)
    upper = found.photons[by_pixel[300]] + found.photons[by_pixel[500]]
    assert found.ring_share[0] == pytest.approx(upper / (upper + 1000 * 1000), rel=0.05)
    assert found.ring_share[1] == pytest.approx(5000 / 1005000, rel=0.05)


def test_an_undamaged_series_has_none() -> None:
    found = follow(lambda frame: np.full(2000, 0.7), 400, watch_of())
    assert found.hot.size == found.dead.size == 0
    assert np.array_equal(found.ring_share, np.zeros(2))
    assert FALSE_PIXELS <= 0.01


@pytest.mark.parametrize(
    ("frame_time_s", "looks"),
    [(0.5, [64, 128, 192, 256, 320, 400, 500, 625, 782, 978]), (0.01, [500, 1000])],
)
def test_looks_depend_on_frames_and_become_rare(frame_time_s: float, looks: list[int]) -> None:
    watch = watch_of(frame_time_s)
    seen = []
    for frames in range(1, 1001):
        if watch.is_due(frames):
            seen.append(watch.look(np.full(2000, frames), frames).frames)
    assert seen == looks
    assert watch.look(np.full(2000, 1000), 1000).frames == 1000


@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("photons", [1.0, 300.0])
def test_not_more_good_pixels_are_named_than_allowed(light: str, photons: float) -> None:
    """With many false ones allowed they can be counted; neighbours in one speckle make them come in clumps."""
    allowed = 20.0
    found = judged(summed(light, photons, 0.0, 11), probability=allowed)
    assert found.hot.size <= allowed + 4 * np.sqrt(9.0 * allowed)
