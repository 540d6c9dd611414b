"""Bits turned on their side, and lists of what lies in eight words: equal to numpy."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.bit_transpose import transpose_bits, transposed_bits
from backend.word_vectors import add_plane_products, lanes_with, list_lanes


def bits_of(words: np.ndarray) -> np.ndarray:
    """Bits of 64 rows of 8 words, shape (row, word, bit)."""
    return words.reshape(64, 8, 1) >> np.arange(64, dtype=np.uint64) & np.uint64(1)


@pytest.mark.parametrize("seed", range(5))
def test_rows_become_columns(seed: int) -> None:
    source = np.random.default_rng(seed).integers(0, 2**64, 520, np.uint64)
    target = np.full(530, 7, np.uint64)
    kept = source.copy()
    transposed_bits(source, 8, target, 16)
    assert np.array_equal(source, kept)
    assert np.all(target[:16] == 7) and np.all(target[528:] == 7)
    assert np.array_equal(bits_of(target[16:528]), bits_of(source[8:]).transpose(2, 1, 0))
    transpose_bits(source, 8)
    assert np.array_equal(source[8:], target[16:528])
    assert np.array_equal(source[:8], kept[:8])


@numba.njit
def listed(words: np.ndarray, at: int, mask: np.uint64, target: np.ndarray, first: int) -> np.uint64:
    lanes = lanes_with(words, at, mask)
    list_lanes(target, 3, lanes, first)
    return lanes


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from([0, 1, 6, 2**63]), min_size=8, max_size=8),
    st.sampled_from([1, 2, 2**63, 0]),
    st.sampled_from([np.int64, np.uint16]),
)
def test_words_in_use_are_listed(values: list[int], mask: int, kind: type) -> None:
    words = np.array([5, *values, 5], np.uint64)
    target = np.full(12, 7, kind)
    used = [lane for lane, value in enumerate(values) if value & mask]
    assert listed(words, 1, np.uint64(mask), target, 1000) == sum(1 << lane for lane in used)
    assert target[3 : 3 + len(used)].tolist() == [1000 + lane for lane in used]
    assert np.all(target[:3] == 7) and target[11] == 7


@numba.njit
def added(
    totals: np.ndarray, bits: np.ndarray, planes: tuple[int, int], stride: int, mask: np.uint64
) -> None:
    add_plane_products(totals, 8, bits, 8, planes[0], 40, planes[1], stride, mask)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 5), st.integers(0, 2**64 - 1))
def test_products_of_numbers_in_planes(seed: int, first_planes: int, second_planes: int, mask: int) -> None:
    """The numbers of two blocks lie between each other: their planes are 16 words apart from 8 and from 40 on."""
    bits = np.random.default_rng(seed).integers(0, 2**64, 140, np.uint64)
    totals = np.arange(24, dtype=np.uint64)
    added(totals, bits, (first_planes, second_planes), 16, np.uint64(mask))
    single = np.arange(64, dtype=np.uint64)

    def numbers(start: int, planes: int) -> np.ndarray:
        total = np.zeros((8, 64), np.uint64)
        for plane in range(planes):
            words = bits[start + 16 * plane :][:8]
            total += (words[:, None] >> single & np.uint64(1)) << np.uint64(plane)
        return total

    chosen = np.uint64(mask) >> single & np.uint64(1)
    products = (numbers(8, first_planes) * numbers(40, second_planes) * chosen).sum(axis=1)
    expected = np.arange(24, dtype=np.uint64)
    expected[8:16] += products
    assert np.array_equal(totals, expected)
