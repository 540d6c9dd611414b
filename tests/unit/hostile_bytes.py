"""Decodes damaged frames with forbidden memory around every buffer: one byte too far ends the process by a signal.

Run as a program of its own by the tests; prints how many frames were refused and how many were taken.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
from filter_chunks import filter_chunk, random_frame

from backend.detector import bitshuffle_chunk as chunks
from backend.detector.bitshuffle_lz4 import chunk_events
from backend.detector.event_decoder import mask_words
from backend.detector.frame_rows import rows_size
from backend.detector.lz4_blocks import MARGIN, lz4_decode_planes
from backend.detector.photon_tiles import MOST_AT_ONCE
from backend.detector.word_kernels import index_chunks, put_blocks, put_plain
from backend.photon_words import PLANES
from backend.pixel_order import order_pixels

SHAPE_YX = (41, 51)
PIXELS = SHAPE_YX[0] * SHAPE_YX[1]
BLOCK_PIXELS = (64, 512)
SCRATCH_BYTES = chunks.MAX_BLOCK_BYTES + 2 * MARGIN

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class GuardedBytes:
    """Memory between two pages that may not be touched."""

    def __init__(self, most_bytes: int) -> None:
        pages = -(-most_bytes // mmap.PAGESIZE)
        whole = np.frombuffer(mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE), np.uint8)
        for page in (0, pages + 1):
            forbidden = whole.ctypes.data + page * mmap.PAGESIZE
            if _libc.mprotect(forbidden, mmap.PAGESIZE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._usable = whole[mmap.PAGESIZE : -mmap.PAGESIZE]

    def array(self, size: int, dtype: type = np.uint8, *, at_end: bool) -> np.ndarray:
        """Array of ``size`` elements that touches the page behind, or else the page in front."""
        wanted = size * np.dtype(dtype).itemsize
        part = self._usable[self._usable.size - wanted :] if at_end else self._usable[:wanted]
        return part.view(dtype)


class Decoders:
    """All kernels that see bytes of files, each with guarded buffers."""

    def __init__(self, generator: np.random.Generator, dtype: type, *, at_end: bool) -> None:
        self._element_bytes = np.dtype(dtype).itemsize
        self._limit = int(np.iinfo(dtype).max)
        self._source = GuardedBytes(4 * PIXELS * self._element_bytes)
        self._at_end = at_end
        cell = generator.integers(-1, 3, PIXELS).astype(np.int16)
        order = order_pixels(cell, 3, 512)
        self._position = self._filled(order.position_of_pixel)
        self._good = self._filled(mask_words(generator.random(SHAPE_YX) > 0.1))
        # Eight words of the mask are read at once.
        self._long_good = self._filled(np.concatenate([self._good, np.zeros(8, np.uint64)]))
        self._scratch = self._new(SCRATCH_BYTES, np.uint8)
        self._rows = {size: self._new(int(rows_size(size)), np.uint64) for size in BLOCK_PIXELS}
        self._events = [self._new(PIXELS, np.uint32) for _ in range(3)]
        now = self._new(PLANES * order.positions, np.uint64).reshape(PLANES, order.positions)
        self._words = (now, self._new(order.positions, np.uint8), self._new(PIXELS + 1, np.uint64))
        tiles, room = -(-PIXELS // order.tile_pixels), order.tile_pixels + MOST_AT_ONCE
        listed = self._new(tiles * room, np.uint32).reshape(tiles, room)
        self._tiles = (listed, self._new(tiles, np.int64), order.tile_pixels)
        self._no_tiles = (listed[:0], self._tiles[1][:0], 1)
        self._target = GuardedBytes(300 + 2 * MARGIN)

    def _new(self, size: int, dtype: type) -> np.ndarray:
        memory = GuardedBytes(size * np.dtype(dtype).itemsize)
        return memory.array(size, dtype, at_end=self._at_end)

    def _filled(self, values: np.ndarray) -> np.ndarray:
        array = self._new(values.size, values.dtype.type)
        array[:] = values
        return array

    def guarded(self, data: np.ndarray) -> np.ndarray:
        """A copy that touches forbidden memory."""
        source = self._source.array(data.size, at_end=self._at_end)
        source[:] = data
        return source

    def events(self, data: np.ndarray) -> int:
        """Status of the event kernel."""
        status, _, _ = chunk_events(
            self.guarded(data),
            PIXELS,
            self._element_bytes,
            self._good,
            self._limit,
            self._scratch,
            *self._events,
        )
        return int(status)

    def words(self, data: np.ndarray, block_pixels: int, bit: int, *, listed: bool) -> int:
        """Status of the word kernels, called as the decoder calls them, for the same frame twice."""
        source = self.guarded(data)
        stored = (np.array([source.ctypes.data] * 2), np.array([source.size] * 2))
        blocks = chunks.blocks_of(PIXELS, block_pixels)
        edges = self._new(2 * (blocks + 1), np.int64).reshape(2, -1)
        status, bits = np.zeros(2, np.int64), np.array([bit, (bit + 1) % 64])
        sizes = (block_pixels, PIXELS, self._element_bytes)
        index_chunks(stored, (0, 2), *sizes, edges, status)
        tiles = self._tiles if listed else self._no_tiles
        tiles[1][:] = 0
        pixels = (self._long_good, self._position, self._limit)
        rows = self._rows[block_pixels]
        fresh = bit == 0
        put_blocks(
            stored,
            edges,
            bits,
            (0, blocks),
            *sizes,
            fresh,
            tiles,
            pixels,
            self._scratch,
            rows,
            self._words,
            status,
        )
        left = PIXELS % 8
        put_plain(
            stored,
            edges[:, -1],
            bits,
            PIXELS - left,
            left,
            self._element_bytes,
            fresh,
            tiles,
            pixels,
            rows,
            self._words,
            status,
        )
        return int(status[0])

    def lz4(self, data: np.ndarray, size: int, plane_bytes: int) -> None:
        """The LZ4 kernel alone, into a target of any size."""
        source = self.guarded(data)
        target = self._target.array(size + 2 * MARGIN, at_end=self._at_end)
        lz4_decode_planes(source, min(16, source.size), source.size, target, size, plane_bytes)


def damaged(generator: np.random.Generator, chunk: np.ndarray) -> np.ndarray:
    """The chunk with some bytes changed, and often cut short, behind its header."""
    length = chunk.size if generator.random() < 0.7 else generator.integers(12, chunk.size, endpoint=True)
    hostile = chunk[:length].copy()
    for _ in range(generator.integers(0, 4)):
        hostile[generator.integers(12, length, endpoint=True) - 1] = generator.integers(256)
    return hostile


def main(rounds: int) -> None:
    """Every kernel, element type, block size and side of the memory, ``rounds`` times each."""
    refused = taken = 0
    for dtype in (np.uint8, np.uint16, np.uint32):
        for at_end in (True, False):
            generator = np.random.default_rng(rounds)
            decoders = Decoders(generator, dtype, at_end=at_end)
            for block_pixels in BLOCK_PIXELS:
                frames = [random_frame(generator, SHAPE_YX, dtype, mean) for mean in (0.3, 0.003)]
                made = [np.frombuffer(filter_chunk(frame, block_pixels), np.uint8) for frame in frames]
                for number in range(rounds):
                    hostile = damaged(generator, made[number % 2])
                    bit, listed = int(generator.integers(64)), bool(generator.integers(2))
                    status = decoders.words(hostile, block_pixels, bit, listed=listed)
                    results = (decoders.events(hostile), status)
                    refused += sum(status != chunks.OK for status in results)
                    taken += sum(status == chunks.OK for status in results)
                    size, plane_bytes = generator.integers(0, [300, 40])
                    decoders.lz4(hostile, int(size), int(plane_bytes))
    sys.stdout.write(f"{refused} {taken}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
