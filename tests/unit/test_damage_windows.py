"""Sums of windows against plain numpy, and valid pixels that change during a series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_streams import StreamPlan, detector_for, judge, ring_stream

from backend.damage.assessment import Assessment, DamageState
from backend.damage.noise_model import NoiseModel
from backend.damage.windows import Window, WindowBuilder, merge_windows

PIXELS = np.array([[20, 30], [50, 30], [10, 10]])
LAGS = np.array([1, 2, 7])
GRADIENT = np.array([1.0, 1.2, 1.5])


def _expected(counts: np.ndarray, valid: np.ndarray, first: int, end: int) -> np.ndarray:
    total = np.zeros((*PIXELS.shape, len(LAGS)))
    for index, lag in enumerate(LAGS):
        for frame in range(max(first, lag), end):
            earlier = frame - lag
            total[..., index] += counts[frame] * counts[earlier] / np.maximum(valid[frame], valid[earlier])
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 2**32 - 1))
def test_windows_are_the_sums_of_their_frames(frames: int, cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(5.0, (60, *PIXELS.shape))
    products = rng.poisson(2.0, (60, *PIXELS.shape, 3))
    valid = rng.integers(1, PIXELS + 1, (60, *PIXELS.shape))
    dose = np.cumsum(rng.uniform(0, 1, 60))
    builder = WindowBuilder(frames, PIXELS, LAGS, GRADIENT)
    windows = []
    edges = [0, *sorted(cuts), 60]
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        windows += builder.windows(counts[a:b], products[a:b], dose[a:b], valid[a:b])
    assert [window.last_frame for window in windows] == list(range(frames - 1, 60, frames))
    for window in windows:
        end = window.last_frame + 1
        part = slice(end - frames, end)
        assert (window.frames, window.dose) == (frames, dose[end - 1])
        assert np.array_equal(window.counts, counts[part].sum(axis=0))
        assert np.array_equal(window.pixel_frames, valid[part].sum(axis=0))
        assert np.array_equal(window.products, products[part].sum(axis=0) / GRADIENT[:, None, None])
        # The same order of the same sums: equal to the last bit.
        assert np.array_equal(window.expected, _expected(counts, valid, end - frames, end))


def test_only_the_chosen_sectors_are_in_a_window() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(50.0, (10, *PIXELS.shape))
    products = rng.poisson(20.0, (10, *PIXELS.shape, 3))
    valid = rng.integers(1, PIXELS + 1, (10, *PIXELS.shape))
    builder = WindowBuilder(10, PIXELS, LAGS, np.ones(3))
    (sums,) = builder.windows(counts, products, np.arange(10.0), valid)
    share = PIXELS / PIXELS.sum(axis=1, keepdims=True)
    in_counts = np.array([[True, True], [True, False], [False, True]])
    in_products = np.array([[True, False], [True, True], [False, True]])
    window = sums.window(share / PIXELS, in_counts, in_products)
    assert window.counts == pytest.approx([counts[:, 0].sum(), counts[:, 1, 0].sum(), counts[:, 2, 1].sum()])
    parts = (valid / PIXELS * share).sum(axis=0)
    assert window.exposure_frames == pytest.approx([parts[0].sum(), parts[1, 0], parts[2, 1]])
    assert window.products[0] == pytest.approx(products[:, 0, 0].sum(axis=0))
    assert window.products[1] == pytest.approx(products[:, 1].sum(axis=(0, 1)))
    assert window.expected[2] == pytest.approx(sums.expected[2, 1])


def test_two_windows_joined_are_one_of_twice_the_length() -> None:
    first = Window(9, 10, 1.0, np.array([1.0, 2.0]), np.full(2, 10.0), np.ones((2, 3)), np.full((2, 3), 2.0))
    second = Window(
        19, 10, 2.5, np.array([10.0, 20.0]), np.full(2, 9.0), np.ones((2, 3)), np.full((2, 3), 3.0)
    )
    both = merge_windows(first, second)
    assert (both.last_frame, both.frames, both.dose) == (19, 20, 2.5)
    assert both.counts.tolist() == [11.0, 22.0]
    assert both.exposure_frames.tolist() == [19.0, 19.0]
    assert both.products.tolist() == [[2.0] * 3] * 2
    assert both.expected.tolist() == [[5.0] * 3] * 2


@pytest.mark.parametrize("frames", [1, 10, 37])
def test_speckle_correlation_is_the_mean_over_all_pairs_of_frames(frames: int) -> None:
    rates, share = np.array([1e-4, 0.02, 0.7, 3.0]), np.array([0.0, 0.3, 0.9, 1.0])
    model = NoiseModel(0.1, rates, rates, share, 1e-3, np.full(4, 100.0), 0.0, 1.0)
    distance = np.array([0.0, 0.3 * frames, 0.75 * frames, frames, 3 * frames, 50 * frames])
    steps = np.subtract.outer(np.arange(frames), np.arange(frames))
    pairs = np.abs(distance[:, None, None] + steps)
    fast = np.exp(-2 * rates[:, None, None, None] * pairs).mean(axis=(2, 3))
    slow = np.mean([np.exp(-2e-3 * step * pairs).mean(axis=(1, 2)) for step in (1, 4, 16)], axis=0)
    wanted = (1 - share[:, None]) * fast + share[:, None] * slow
    assert model.speckle_correlation(distance, frames) == pytest.approx(wanted, rel=1e-10)
    # The same as exponentials of the number of windows.
    decay, neighbours = model.speckle_exponentials(frames)
    for windows in (1, 2, 7):
        wanted = model.speckle_correlation(np.array([float(windows * frames)]), frames)[:, 0]
        assert neighbours @ decay ** (windows - 1) == pytest.approx(wanted, rel=1e-10)


def test_pixels_that_drop_out_are_no_damage() -> None:
    """A module is lost after half of the series: fewer photons in the outer rings, told by their valid pixels."""
    frames, pixels = 400, 800
    valid = np.full((frames, 6), pixels)
    valid[200:, 3:] = 600
    structure = valid / pixels
    told, untold = _judge_with_and_without(structure, valid)
    assert DamageState.DAMAGING in {assessment.state for assessment in untold}
    assert {assessment.state for assessment in told} <= {DamageState.TOO_EARLY, DamageState.STEADY}


def _judge_with_and_without(
    structure: np.ndarray, valid: np.ndarray
) -> tuple[list[Assessment], list[Assessment]]:
    # Products of pixels that are left go with their number, counts of fewer pixels too.
    stream = ring_stream(StreamPlan(pixels=800), 21)
    rng = np.random.default_rng(2)
    counts = rng.binomial(stream.counts, structure)
    products = rng.binomial(stream.products, structure[:, :, None])
    dose = np.arange(1.0, len(counts) + 1)
    told = detector_for(stream).add(counts, products, dose, valid)
    return told, detector_for(stream).add(counts, products, dose)


def test_a_ring_without_any_valid_pixel_gives_no_verdict() -> None:
    stream = ring_stream(StreamPlan(frames=200), 22)
    valid = np.full(stream.counts.shape, stream.pixels)
    valid[150:160, 2] = 0
    counts = np.where(valid > 0, stream.counts, 0)
    said = detector_for(stream).add(counts, stream.products, np.arange(1.0, 201), valid)
    assert [a.frame for a in said if a.state is DamageState.NO_BEAM] == [159]


def test_frames_that_never_came_are_not_dark_ones() -> None:
    stream = ring_stream(StreamPlan(frames=200), 22)
    came = np.ones(200, bool)
    came[145:165] = False
    counts, products = stream.counts * came[:, None], stream.products * came[:, None, None]
    valid = np.broadcast_to(stream.pixels * came[:, None], counts.shape)
    said = detector_for(stream).add(counts, products, np.arange(1.0, 201), valid)
    assert [a.frame for a in said if a.state is DamageState.NO_FRAMES] == [159]
    assert DamageState.NO_BEAM not in {a.state for a in said}
    assert said[-1].state is DamageState.STEADY


def test_the_result_is_the_newest_assessment() -> None:
    stream = ring_stream(StreamPlan(frames=150, pixels=300), 23)
    detector = detector_for(stream)
    assert detector.result() is None
    said = judge(stream, detector)
    assert detector.result() == said[-1]
