"""The chunk kernels: equal to the reference decoder, and unharmed by hostile bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from filter_chunks import UNSIGNED, filter_chunk, random_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import literal_chunk

from backend.detector import bitshuffle_chunk as chunks
from backend.detector.bitshuffle_lz4 import chunk_events
from backend.detector.event_decoder import mask_words
from backend.detector.lz4_blocks import MARGIN

CANARY = 0xA5A5A5A5
CANARIES = 64


class _Guarded:
    """Output and scratch arrays cut out of larger ones, so that a write outside shows."""

    def __init__(self, pixels: int) -> None:
        block_bytes = chunks.MAX_BLOCK_BYTES + 2 * MARGIN
        self._whole = [np.full(pixels + 2 * CANARIES, CANARY, np.uint32) for _ in range(3)]
        self._whole.append(np.full(block_bytes // 4 + 2 * CANARIES, CANARY, np.uint32))
        self.pixel, self.count, self.saturated, block = (w[CANARIES:-CANARIES] for w in self._whole)
        self.block = block.view(np.uint8)

    def assert_untouched(self) -> None:
        for whole in self._whole:
            assert np.all(whole[:CANARIES] == CANARY)
            assert np.all(whole[-CANARIES:] == CANARY)


def decode(
    chunk: bytes,
    shape_yx: tuple[int, int],
    dtype: type,
    good: np.ndarray | None = None,
    limit: int | None = None,
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Status, pixels, counts, saturated pixels; checks that nothing outside the buffers was written."""
    mask = np.ones(shape_yx, bool) if good is None else good
    room = _Guarded(mask.size)
    status, events, saturated = chunk_events(
        np.frombuffer(chunk, np.uint8),
        mask.size,
        np.dtype(dtype).itemsize,
        mask_words(mask),
        int(np.iinfo(dtype).max) if limit is None else limit,
        room.block,
        room.pixel,
        room.count,
        room.saturated,
    )
    room.assert_untouched()
    return status, room.pixel[:events].copy(), room.count[:events].copy(), room.saturated[:saturated].copy()


def assert_equals_frame(
    found: tuple[int, np.ndarray, np.ndarray, np.ndarray], frame: np.ndarray, good: np.ndarray, limit: int
) -> None:
    status, pixel, count, saturated = found
    flat, usable = frame.ravel(), good.ravel()
    expected = np.flatnonzero(usable & (flat > 0) & (flat < limit))
    assert status == chunks.OK
    assert np.array_equal(pixel, expected)
    assert np.array_equal(count, flat[expected])
    assert np.array_equal(saturated, np.flatnonzero(usable & (flat >= limit)))


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("shape_yx", [(1, 1), (1, 7), (1, 8), (3, 21), (8, 8), (33, 65), (64, 64), (97, 131)])
@pytest.mark.parametrize("mean", [0.0, 0.01, 3.0])
def test_events_equal_the_filter_s_own_decode(dtype: type, shape_yx: tuple[int, int], mean: float) -> None:
    generator = np.random.default_rng(shape_yx[1])
    frame = random_frame(generator, shape_yx, dtype, mean)
    good = generator.random(shape_yx) > 0.1
    limit = int(np.iinfo(dtype).max)
    assert_equals_frame(decode(filter_chunk(frame), shape_yx, dtype, good), frame, good, limit)


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("block_pixels", [8, 24, 64, 136, 512, 8192])
def test_other_block_sizes_of_the_filter(dtype: type, block_pixels: int) -> None:
    frame = random_frame(np.random.default_rng(block_pixels), (61, 83), dtype, 0.3)
    good = np.ones(frame.shape, bool)
    chunk = filter_chunk(frame, block_pixels)
    assert struct.unpack(">I", chunk[8:12])[0] == block_pixels * frame.itemsize
    assert_equals_frame(decode(chunk, frame.shape, dtype), frame, good, int(np.iinfo(dtype).max))


@pytest.mark.parametrize("dtype", UNSIGNED)
def test_the_largest_block_that_is_taken(dtype: type) -> None:
    block_pixels = chunks.MAX_BLOCK_BYTES // np.dtype(dtype).itemsize
    frame = random_frame(np.random.default_rng(1), (1100, 1000), dtype, 0.02)
    good = np.ones(frame.shape, bool)
    chunk = literal_chunk(frame, block_pixels)
    assert_equals_frame(decode(chunk, frame.shape, dtype), frame, good, int(np.iinfo(dtype).max))


def test_an_empty_block_field_means_the_filter_s_default() -> None:
    frame = random_frame(np.random.default_rng(2), (70, 100), np.uint16, 0.1)
    chunk = literal_chunk(frame, 4096, block_field=0)
    assert_equals_frame(decode(chunk, frame.shape, np.uint16), frame, np.ones(frame.shape, bool), 65535)


@pytest.mark.parametrize("field", [1, 4, 8, 15, 2 * 12, chunks.MAX_BLOCK_BYTES + 16, 2**31, 2**32 - 16])
def test_impossible_block_sizes_are_refused(field: int) -> None:
    frame = np.ones((16, 16), np.uint16)
    status, pixel, _, _ = decode(literal_chunk(frame, 64, block_field=field), frame.shape, np.uint16)
    assert status == chunks.BAD_BLOCK_SIZE
    assert pixel.size == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(UNSIGNED),
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, 5),
    st.integers(0, 2**32 - 1),
    st.sampled_from([8, 16, 64, 72, 192, 4096]),
    st.one_of(st.none(), st.integers(1, 200)),
)
def test_any_frame_any_mask_any_limit(
    dtype: type, rows: int, columns: int, mean: float, seed: int, block_pixels: int, limit: int | None
) -> None:
    generator = np.random.default_rng(seed)
    frame = random_frame(generator, (rows, columns), dtype, mean)
    good = generator.random(frame.shape) > 0.2
    stop = int(np.iinfo(dtype).max) if limit is None else limit
    found = decode(literal_chunk(frame, block_pixels), frame.shape, dtype, good, stop)
    assert_equals_frame(found, frame, good, stop)
    assert_equals_frame(decode(filter_chunk(frame), frame.shape, dtype, good, stop), frame, good, stop)


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("shape_yx", [(16, 20), (13, 11)])
def test_a_truncated_chunk_is_refused_wherever_it_ends(dtype: type, shape_yx: tuple[int, int]) -> None:
    frame = random_frame(np.random.default_rng(3), shape_yx, dtype, 0.5)
    chunk = filter_chunk(frame, 64)
    for length in range(len(chunk)):
        status, pixel, _, saturated = decode(chunk[:length], shape_yx, dtype)
        assert status in chunks.REASONS
        assert pixel.size == saturated.size == 0


def test_more_bytes_than_blocks_are_refused() -> None:
    frame = np.ones((16, 16), np.uint16)
    assert decode(filter_chunk(frame) + b"\0", frame.shape, np.uint16)[0] == chunks.TRAILING_BYTES


def test_another_frame_size_is_refused() -> None:
    chunk = filter_chunk(np.ones((16, 16), np.uint16))
    assert decode(chunk, (16, 17), np.uint16)[0] == chunks.WRONG_SIZE
    assert decode(chunk, (16, 16), np.uint32)[0] == chunks.WRONG_SIZE
    assert decode(b"\1" + chunk[1:], (16, 16), np.uint16)[0] == chunks.WRONG_SIZE


def test_a_block_that_points_beyond_the_end_is_refused() -> None:
    chunk = bytearray(filter_chunk(np.ones((16, 16), np.uint16)))
    for length in (len(chunk), 2**31 - 1, 2**31, 2**32 - 1):
        chunk[12:16] = struct.pack(">I", length)
        assert decode(bytes(chunk), (16, 16), np.uint16)[0] == chunks.SHORT_CHUNK


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.sampled_from(UNSIGNED),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
)
def test_flipped_bytes_never_write_outside(dtype: type, seed: int, flips: list[tuple[float, int]]) -> None:
    frame = random_frame(np.random.default_rng(seed), (19, 27), dtype, 0.5)
    chunk = bytearray(filter_chunk(frame, 64))
    for place, change in flips:
        chunk[int(place * len(chunk))] ^= change
    status, pixel, count, saturated = decode(bytes(chunk), frame.shape, dtype)
    assert status == chunks.OK or status in chunks.REASONS
    assert np.all(pixel < frame.size) and np.all(np.diff(pixel.astype(np.int64)) > 0)
    assert np.all(count > 0) and np.all(saturated < frame.size)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from([8, 64, 72, 4096]))
def test_garbage_behind_a_good_header_never_writes_outside(garbage: bytes, block_pixels: int) -> None:
    header = struct.pack(">QI", 23 * 29 * 2, block_pixels * 2)
    decode(header + garbage, (23, 29), np.uint16)
    decode(header + struct.pack(">I", len(garbage)) + garbage, (23, 29), np.uint16)
    decode(garbage, (23, 29), np.uint16)
