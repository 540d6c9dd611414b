"""The chunk kernels: equal to the reference decoder, and unharmed by hostile bytes."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import literal_chunk, lz4_literals

from backend.detector import bitshuffle_lz4 as kernels
from backend.detector.event_decoder import mask_words
from backend.detector.lz4_blocks import lz4_decode_block, lz4_decode_planes

CANARY = 0xA5A5A5A5
MARGIN = 64
UNSIGNED = [np.uint8, np.uint16, np.uint32]


class _Guarded:
    """Output and scratch arrays cut out of larger ones, so that a write outside shows."""

    def __init__(self, pixels: int) -> None:
        block_words = kernels.MAX_BLOCK_BYTES // 8
        self._whole = [np.full(pixels + 2 * MARGIN, CANARY, np.uint32) for _ in range(3)]
        self._whole.append(np.full(block_words + 2 * MARGIN, CANARY, np.uint64))
        self.pixel, self.count, self.saturated, self.block = (w[MARGIN:-MARGIN] for w in self._whole)

    def assert_untouched(self) -> None:
        for whole in self._whole:
            assert np.all(whole[:MARGIN] == CANARY)
            assert np.all(whole[-MARGIN:] == CANARY)


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
    status, events, saturated = kernels.chunk_events(
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


def filter_chunk(frame: np.ndarray, block_pixels: int = 0) -> bytes:
    """The chunk that the HDF5 filter itself makes of a frame; checked to be read back as the frame."""
    options = hdf5plugin.Bitshuffle(nelems=block_pixels, cname="lz4")
    with h5py.File("chunk.h5", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("data", data=frame[None], chunks=(1, *frame.shape), **options)
        assert np.array_equal(data[0], frame)
        return bytes(data.id.read_direct_chunk((0, 0, 0))[1])


def assert_equals_frame(
    found: tuple[int, np.ndarray, np.ndarray, np.ndarray], frame: np.ndarray, good: np.ndarray, limit: int
) -> None:
    status, pixel, count, saturated = found
    flat, usable = frame.ravel(), good.ravel()
    expected = np.flatnonzero(usable & (flat > 0) & (flat < limit))
    assert status == kernels.OK
    assert np.array_equal(pixel, expected)
    assert np.array_equal(count, flat[expected])
    assert np.array_equal(saturated, np.flatnonzero(usable & (flat >= limit)))


def random_frame(
    generator: np.random.Generator, shape_yx: tuple[int, int], dtype: type, mean: float
) -> np.ndarray:
    """Photons, a few very bright pixels, and some at the type's maximum."""
    top = int(np.iinfo(dtype).max)
    frame = np.minimum(generator.poisson(mean, shape_yx), top).astype(dtype)
    frame[generator.random(shape_yx) < 0.01] = generator.integers(0, top, endpoint=True)
    frame[generator.random(shape_yx) < 0.02] = top
    return frame


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
    block_pixels = kernels.MAX_BLOCK_BYTES // np.dtype(dtype).itemsize
    frame = random_frame(np.random.default_rng(1), (1100, 1000), dtype, 0.02)
    good = np.ones(frame.shape, bool)
    chunk = literal_chunk(frame, block_pixels)
    assert_equals_frame(decode(chunk, frame.shape, dtype), frame, good, int(np.iinfo(dtype).max))


def test_an_empty_block_field_means_the_filter_s_default() -> None:
    frame = random_frame(np.random.default_rng(2), (70, 100), np.uint16, 0.1)
    chunk = literal_chunk(frame, 4096, block_field=0)
    assert_equals_frame(decode(chunk, frame.shape, np.uint16), frame, np.ones(frame.shape, bool), 65535)


@pytest.mark.parametrize("field", [1, 4, 8, 15, 2 * 12, kernels.MAX_BLOCK_BYTES + 16, 2**31, 2**32 - 16])
def test_impossible_block_sizes_are_refused(field: int) -> None:
    frame = np.ones((16, 16), np.uint16)
    status, pixel, _, _ = decode(literal_chunk(frame, 64, block_field=field), frame.shape, np.uint16)
    assert status == kernels.BAD_BLOCK_SIZE
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
        assert status in kernels.REASONS
        assert pixel.size == saturated.size == 0


def test_more_bytes_than_blocks_are_refused() -> None:
    frame = np.ones((16, 16), np.uint16)
    assert decode(filter_chunk(frame) + b"\0", frame.shape, np.uint16)[0] == kernels.TRAILING_BYTES


def test_another_frame_size_is_refused() -> None:
    chunk = filter_chunk(np.ones((16, 16), np.uint16))
    assert decode(chunk, (16, 17), np.uint16)[0] == kernels.WRONG_SIZE
    assert decode(chunk, (16, 16), np.uint32)[0] == kernels.WRONG_SIZE
    assert decode(b"\1" + chunk[1:], (16, 16), np.uint16)[0] == kernels.WRONG_SIZE


def test_a_block_that_points_beyond_the_end_is_refused() -> None:
    chunk = bytearray(filter_chunk(np.ones((16, 16), np.uint16)))
    for length in (len(chunk), 2**31 - 1, 2**31, 2**32 - 1):
        chunk[12:16] = struct.pack(">I", length)
        assert decode(bytes(chunk), (16, 16), np.uint16)[0] == kernels.SHORT_CHUNK


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
    assert status == kernels.OK or status in kernels.REASONS
    assert np.all(pixel < frame.size) and np.all(np.diff(pixel.astype(np.int64)) > 0)
    assert np.all(count > 0) and np.all(saturated < frame.size)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from([8, 64, 72, 4096]))
def test_garbage_behind_a_good_header_never_writes_outside(garbage: bytes, block_pixels: int) -> None:
    header = struct.pack(">QI", 23 * 29 * 2, block_pixels * 2)
    decode(header + garbage, (23, 29), np.uint16)
    decode(header + struct.pack(">I", len(garbage)) + garbage, (23, 29), np.uint16)
    decode(garbage, (23, 29), np.uint16)


def lz4(data: bytes, size: int) -> tuple[bool, bytes]:
    """Result of decoding ``data`` into ``size`` bytes in the middle of a larger array; checks its surroundings."""
    target = np.full(size + 2 * MARGIN, 0xA5, np.uint8)
    source = np.frombuffer(b"\xee" * 8 + data + b"\xee" * 8, np.uint8)
    complete = lz4_decode_block(source, 8, 8 + len(data), target[MARGIN:], size)
    assert np.all(target[:MARGIN] == 0xA5)
    assert np.all(target[MARGIN + size :] == 0xA5)
    return bool(complete), target[MARGIN : MARGIN + size].tobytes()


def test_lz4_repeats_what_it_has_written() -> None:
    # "ab", 4 + 7 bytes from 2 back, then the literal "c".
    assert lz4(b"\x27ab\x02\x00\x10c", 14) == (True, b"ab" * 6 + b"ac")
    # "abc", 4 + 1 bytes from 3 back; then 20 times the last byte; then "d".
    assert lz4(b"\x31abc\x03\x00\x0f\x01\x00\x01\x10d", 29) == (True, b"abcabcab" + b"b" * 20 + b"d")


@pytest.mark.parametrize("missing", range(1, 13))
@pytest.mark.parametrize("data", [b"\x27ab\x02\x00\x10c", b"\x18a\x01\x00\x10c"])
def test_lz4_repeats_stop_before_the_end_of_the_target(data: bytes, missing: int) -> None:
    size = 14
    assert not lz4(data, size - missing)[0]


@pytest.mark.parametrize("length", [0, 1, 14, 15, 16, 269, 270, 271, 524, 525, 5000])
def test_lz4_literals_of_any_length(length: int) -> None:
    data = bytes(np.random.default_rng(length).integers(0, 256, length, np.uint8))
    assert lz4(lz4_literals(data), length) == (True, data)
    assert not lz4(lz4_literals(data), length + 1)[0]
    if length:
        assert not lz4(lz4_literals(data), length - 1)[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10",
        b"\xf0",
        b"\xf0" + b"\xff" * 30,
        b"\x10a\x01",
        b"\x10a\x00\x00\x10b",
        b"\x10a\x02\x00\x10b",
        b"\x1fa\x01\x00",
        b"\x1fa\x01\x00" + b"\xff" * 40,
        b"\x1fa\x01\x00" + b"\xff" * 40 + b"\x00",
        b"\x1fa\xff\xff\x00\x10b",
    ],
)
def test_lz4_refuses_broken_sequences(data: bytes) -> None:
    assert not lz4(data, 64)[0]


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=120), st.integers(0, 200))
def test_lz4_never_writes_beyond_its_target(data: bytes, size: int) -> None:
    lz4(data, size)


GUARD_PAGES = """
import ctypes, mmap, sys
import numpy as np
from backend.detector import bitshuffle_lz4 as kernels
from backend.detector.lz4_blocks import lz4_decode_block, lz4_decode_planes

page = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def before_forbidden_page():
    memory = np.frombuffer(mmap.mmap(-1, 2 * page), np.uint8)
    assert libc.mprotect(memory.ctypes.data + page, page, 0) == 0
    return memory[:page]


chunk = np.frombuffer(bytes.fromhex(sys.argv[1]), np.uint8)
pixels = int(sys.argv[2])
good = np.full((pixels + 63) // 64, 2**64 - 1, np.uint64)
source, target = before_forbidden_page(), before_forbidden_page()
outputs = [before_forbidden_page()[-4 * pixels :].view(np.uint32) for _ in range(3)]
block = np.empty(kernels.MAX_BLOCK_BYTES // 8, np.uint64)
generator = np.random.default_rng(4)
refused = 0
for _ in range(20000):
    hostile = chunk[: generator.integers(12, chunk.size, endpoint=True)].copy()
    for _ in range(generator.integers(0, 4)):
        hostile[generator.integers(12, hostile.size, endpoint=True) - 1] = generator.integers(256)
    source[page - hostile.size :] = hostile
    refused += kernels.chunk_events(source[page - hostile.size :], pixels, 2, good, 65535, block, *outputs)[0] != 0
    size = int(generator.integers(0, 300))
    lz4_decode_block(source, page - hostile.size + 16, page, target[page - size :], size)
    plane_bytes = int(generator.integers(1, 40))
    lz4_decode_planes(source, page - hostile.size + 16, page, target[page - size :], size, plane_bytes)
print("refused", refused)
"""


def test_no_access_outside_with_forbidden_memory_around() -> None:
    """Source, LZ4 target and outputs end where the memory ends: one byte too far would kill the process."""
    frame = random_frame(np.random.default_rng(5), (20, 19), np.uint16, 0.5)
    done = subprocess.run(
        [sys.executable, "-c", GUARD_PAGES, filter_chunk(frame, 64).hex(), str(frame.size)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 1000


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32]),
    gap_columns=st.integers(0, 40),
    mean=st.sampled_from([0.0, 0.003, 0.3, 20.0]),
    block_pixels=st.sampled_from([64, 128, 1024]),
)
def test_blocks_that_only_repeat_are_not_written_out(
    seed: int, dtype: type, gap_columns: int, mean: float, block_pixels: int
) -> None:
    """Whole planes before the repetition are right, and the last of them equals all that were left out."""
    generator = np.random.default_rng(seed)
    frame = generator.poisson(mean, (32, 64)).astype(dtype)
    frame[:, 20 : 20 + gap_columns] = np.iinfo(dtype).max
    chunk = np.frombuffer(filter_chunk(frame, block_pixels), np.uint8)
    at, plane_bytes, size = 12, block_pixels // 8, block_pixels * np.dtype(dtype).itemsize
    whole, early = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for _ in range(frame.size // block_pixels):
        stop = at + 4 + int.from_bytes(chunk[at : at + 4].tobytes(), "big")
        assert lz4_decode_block(chunk, at + 4, stop, whole, size)
        written = lz4_decode_planes(chunk, at + 4, stop, early, size, plane_bytes)
        assert written % plane_bytes == 0 and 0 < written <= size
        planes = early[:written].reshape(-1, plane_bytes)
        rest = np.tile(planes[-1], (size - written) // plane_bytes)
        assert np.array_equal(np.concatenate([early[:written], rest]), whole)
        at = stop


def test_a_sparse_block_is_decoded_only_as_far_as_it_has_photons() -> None:
    frame = np.zeros((32, 64), np.uint32)
    frame[3, 5] = 1
    chunk = np.frombuffer(filter_chunk(frame, 2048), np.uint8)
    target = np.zeros(8192, np.uint8)
    assert lz4_decode_planes(chunk, 16, chunk.size, target, 8192, 256) == 512
