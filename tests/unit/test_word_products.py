"""Each product of photon words equals what numpy makes of the single frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import frames_of_words

from backend.correlation import word_products as products

SEEDS = st.integers(0, 2**32 - 1)
RUNS = st.integers(0, products.LONGEST_RUN)
DENSITIES = st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0])
MASKS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1]))


def random_words(generator: np.random.Generator, size: int, density: float) -> np.ndarray:
    bits = generator.random((size, 64)) < density
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64).reshape(size)


def whole_mask(mask: int, width: int) -> int:
    """Each bit of ``mask`` stands for a group of ``width`` frames."""
    ones = (1 << width) - 1
    return sum(ones << (width * group) for group in range(64 // width) if (mask >> group) & 1)


def two_words(generator: np.random.Generator, size: int, density: float) -> tuple[np.ndarray, ...]:
    return random_words(generator, size, density), random_words(generator, size, density)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SEEDS, RUNS, DENSITIES, st.integers(0, 64))
def test_words_of_some_frames_ago(seed: int, size: int, density: float, frames: int) -> None:
    now, before = two_words(np.random.default_rng(seed), size, density)
    past = np.full(size + 1, 77, np.uint64)
    products.shift_back(now, before, frames, past[:size])
    both = np.concatenate([frames_of_words(before), frames_of_words(now)], axis=1)
    assert np.array_equal(frames_of_words(past[:size]), both[:, 64 - frames : 128 - frames])
    assert past[size] == 77


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SEEDS, RUNS, DENSITIES, MASKS)
def test_products_of_frames_and_of_pairs(seed: int, size: int, density: float, mask: int) -> None:
    now, past = two_words(np.random.default_rng(seed), size, density)
    chosen = frames_of_words(np.array([mask], np.uint64))
    first, second = frames_of_words(now), frames_of_words(past)
    found = products.frame_products(now, past, np.uint64(mask))
    assert found == (first * second * chosen).sum()
    pair_mask = whole_mask(mask, 2)
    chosen_pairs = frames_of_words(np.array([pair_mask], np.uint64))[:, ::2]
    first_pairs, second_pairs = (values.reshape(size, 32, 2).sum(axis=2) for values in (first, second))
    found = products.pair_products(now, past, np.uint64(pair_mask))
    assert found == (first_pairs * second_pairs * chosen_pairs).sum()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS, RUNS, DENSITIES)
def test_sums_of_quadruples_of_a_digit(seed: int, size: int, density: float) -> None:
    """Four planes one after the other: the bytes hold up to 4 x 15 photons."""
    generator = np.random.default_rng(seed)
    even, odd = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    expected = np.zeros((size, 16), np.int64)
    for plane in range(products.DIGIT_PLANES):
        words = random_words(generator, size, density)
        products.add_quadruples(words, plane, even, odd)
        expected += frames_of_words(words).reshape(size, 16, 4).sum(axis=2) << plane
    assert np.array_equal(even.view(np.uint8).reshape(size, 8), expected[:, ::2])
    assert np.array_equal(odd.view(np.uint8).reshape(size, 8), expected[:, 1::2])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**16 - 1))
def test_masks_of_quadruples(quadruples: int) -> None:
    even, odd = products.quadruple_masks(np.uint64(whole_mask(quadruples, 4)))
    chosen = frames_of_words(np.array([quadruples], np.uint64))[0, :16]
    assert np.array_equal(np.array([even], np.uint64).view(np.uint8), 255 * chosen[::2])
    assert np.array_equal(np.array([odd], np.uint64).view(np.uint8), 255 * chosen[1::2])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS, RUNS, DENSITIES, MASKS)
def test_masked_words_are_kept(seed: int, size: int, density: float, mask: int) -> None:
    words = random_words(np.random.default_rng(seed), size, density)
    kept = np.full(size, 5, np.uint64)
    products.keep(words, np.uint64(mask), kept)
    assert np.array_equal(kept, words & np.uint64(mask))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS, RUNS, st.integers(0, 120))
def test_products_of_bytes(seed: int, size: int, top: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, top, (2, 8 * size), np.uint8, endpoint=True)
    assert products.byte_products(first, second) == (first.astype(int) * second.astype(int)).sum()


def test_the_largest_products_of_bytes_do_not_overflow() -> None:
    largest = np.full(16 * products.LONGEST_RUN, 120, np.uint8)
    assert products.byte_products(largest, largest) == 16 * products.LONGEST_RUN * 120**2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS, st.integers(0, products.MOST_COUNTED), DENSITIES)
def test_photons_of_each_frame(seed: int, size: int, density: float) -> None:
    words = random_words(np.random.default_rng(seed), size, density)
    counters = np.full(8, 99, np.uint64)
    products.count_by_frame(words, counters)
    ordered = products.in_frame_order(counters.view(np.uint8))
    assert np.array_equal(ordered, frames_of_words(words).sum(axis=0))


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_frames_are_sorted_along_the_last_axis_alone(leading: tuple[int, ...]) -> None:
    frame = 8 * np.arange(8)[None, :] + np.arange(8)[:, None]
    counts = np.broadcast_to(frame.ravel(), (*leading, 64))
    assert np.array_equal(products.in_frame_order(counts), np.broadcast_to(np.arange(64), counts.shape))
