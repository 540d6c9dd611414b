"""Counters kept as bits side by side: counted, read and turned as plain numpy does it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.correlation.bit_counters import carry_on, count_rows, read_64_counters, store_turned
from backend.correlation.two_time_map import fill_map

STEP = 24
"""Words from digit to digit: two rows of counters beside each other, and a gap."""


@numba.njit
def _count_256(counters, to, step, rows, start, lists, at, eights, carry):
    return count_rows(counters, to, step, rows, start, lists, at, eights, carry, 4)


@numba.njit
def _count_512(counters, to, step, rows, start, lists, at, eights, carry):
    return count_rows(counters, to, step, rows, start, lists, at, eights, carry, 8)


@numba.njit
def _read(numbers, to, counters, at, step, digits):
    read_64_counters(numbers, to, counters, at, step, digits)


@numba.njit
def _turn(target, to, target_step, source, at, source_step):
    store_turned(target, to, target_step, source, at, source_step)


def digits_of(numbers: np.ndarray, digits: int) -> np.ndarray:
    """Bits of some numbers, shape (digit, number / 64), uint64."""
    bits = numbers.astype(np.uint64) >> np.arange(digits, dtype=np.uint64)[:, None] & np.uint64(1)
    packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    eights=st.integers(1, 16),
    first=st.sampled_from([0, 8]),
    count=st.sampled_from([(_count_256, 4), (_count_512, 8)]),
)
def test_rows_are_counted(seed: int, eights: int, first: int, count: tuple[Any, int]) -> None:
    count_in, words_of_row = count
    size = 64 * words_of_row
    generator = np.random.default_rng(seed)
    rows = generator.random((30, size)) < generator.random()
    lists = generator.integers(0, 30, 8 * eights + 5).astype(np.uint16)
    before = generator.integers(0, 256, size)
    counters = np.zeros((9, STEP), np.uint64)
    counters[:8, first : first + words_of_row] = digits_of(before, 8)
    kept = counters[:8, first + words_of_row :].copy()
    words = np.packbits(rows, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    carry = np.empty(words_of_row, np.uint64)
    left = count_in(counters.reshape(-1), first, STEP, words.reshape(-1), 0, lists, 5, eights, carry)
    after = before + rows[lists[5:]].sum(axis=0)
    expected = digits_of(after, 9)
    assert np.array_equal(counters[:8, first : first + words_of_row], expected[:8])
    assert np.array_equal(counters[:8, first + words_of_row :], kept)
    assert np.array_equal(carry, expected[8])
    assert (left != 0) == bool((after >= 256).any())
    carry_on(counters.reshape(-1), 8 * STEP + first, STEP, carry)
    assert np.array_equal(counters[8, first : first + words_of_row], expected[8])


@pytest.mark.parametrize("digits", [1, 7, 8, 9, 16, 31])
def test_counters_are_read(digits: int) -> None:
    expected = np.random.default_rng(digits).integers(0, 2**digits, 512)
    counters = np.full((digits, STEP), 2**64 - 1, np.uint64)
    counters[:, 8:16] = digits_of(expected, digits)
    numbers = np.full(520, 7, np.int32)
    for word in range(8):
        _read(numbers, 64 * word, counters.reshape(-1), 8 + word, STEP, digits)
    assert np.array_equal(numbers[:512], expected)
    assert np.all(numbers[512:] == 7)


def test_squares_are_turned() -> None:
    source = np.arange(16 * 20, dtype=np.float32)
    target = np.full(3 + 16 * 19, -1, np.float32)
    _turn(target, 3, 19, source, 2, 20)
    expected = np.full((16, 19), -1, np.float32)
    expected[:, :16] = source.reshape(16, 20)[:, 2:18].T
    assert np.array_equal(target[3:].reshape(16, 19), expected)
    assert np.all(target[:3] == -1)


@pytest.mark.parametrize("highest", [2**20, 2**31 - 1, 2**31, 2**40, 2**62])
@pytest.mark.parametrize("bins", [1, 15, 16, 40, 256, 257, 530])
def test_a_map_is_symmetric_and_its_large_numbers_are_rounded_once(highest: int, bins: int) -> None:
    generator = np.random.default_rng(bins)
    products = generator.integers(0, highest + 1, (3, bins, 256))
    counters = np.zeros((64, 3 * bins + 1, 4), np.uint64)
    for row in range(3):
        for t in range(bins):
            counters[:, row * bins + t] = digits_of(products[row, t], 64)
    sums = generator.integers(1, 1000, bins).astype(np.float64)
    values = np.empty((bins, bins), np.float32)
    layout = (bins, 4 * (3 * bins + 1), highest.bit_length())
    fill_map(counters.reshape(-1), layout, sums, 300.0, 1.25, values)
    lower = np.tril(products.transpose(1, 0, 2).reshape(bins, 768)[:, :bins], -1)
    expected = lower * (300.0 / (sums * 1.25))[:, None] * (1 / sums)
    expected = (expected + expected.T).astype(np.float32)
    np.fill_diagonal(expected, np.nan)
    assert np.array_equal(values, expected, equal_nan=True)
