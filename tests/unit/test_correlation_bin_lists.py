"""Lists of the words that have a bit equal those that plain numpy finds."""

from __future__ import annotations

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.correlation.bin_lists import LIST_ENTRIES, WORDS_AT_ONCE, list_pixels, new_list_room


@numba.njit
def _list(words, empty, lists, begins, ends, free):
    return list_pixels(words, empty, lists, begins, ends, free, new_list_room(words.size))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.sampled_from([1, 2, 17, 300]),
    chance=st.sampled_from([0.0, 0.001, 0.02, 0.5, 1.0]),
    unused=st.integers(0, 2**64 - 1),
)
def test_each_list_has_the_words_with_its_bit(seed: int, groups: int, chance: float, unused: int) -> None:
    size = groups * WORDS_AT_ONCE
    bits = np.random.default_rng(seed).random((size, 64)) < chance
    bits[:, [bool(unused >> bin_ & 1) for bin_ in range(64)]] = False
    words = np.packbits(bits, axis=1, bitorder="little").view("<u8").reshape(-1).astype(np.uint64)
    lists = np.full(3 + 64 * (size + 2 * LIST_ENTRIES), 65535, np.uint16)
    begins, ends = np.zeros(64, np.uint64), np.zeros(64, np.uint64)
    after = _list(words, size, lists, begins, ends, 3)
    assert np.all(words == 0)
    assert np.all(lists[:3] == 65535) and np.all(lists[after:] == 65535)
    for bin_ in range(64):
        begin, end = int(begins[bin_]), int(ends[bin_])
        assert sorted(lists[begin:end].tolist()) == np.flatnonzero(bits[:, bin_]).tolist()
        filled = lists[end : begin + -(-(end - begin) // LIST_ENTRIES) * LIST_ENTRIES]
        assert np.all(filled == size)
