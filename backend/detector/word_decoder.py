"""From frames as they were stored to photon words, shared out over threads by pieces of the detector."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from backend.detector import word_kernels as kernels
from backend.detector.bitshuffle_chunk import (
    MAX_BLOCK_BYTES,
    OK,
    REASONS,
    WRONG_SIZE,
    blocks_of,
    check_header,
)
from backend.detector.event_decoder import mask_words
from backend.detector.frame_rows import Words, rows_size
from backend.detector.lz4_blocks import MARGIN
from backend.detector.photon_tiles import MOST_AT_ONCE, TOO_MANY, Tiles
from backend.frames import FrameBatch
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.sparse_memory import zeros_when_touched
from backend.worker_pool import processors, share_out, shrinking_shares

_PLAIN_PIXELS = 4096


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """What became of the frames of a batch.

    Attributes
    ----------
    usable : ndarray, shape (frame,), bool
        Frames whose photons are in the words.
    set_aside : tuple of (int, str)
        Frame number and reason of each of the others.
    saturated : ndarray, shape (any,), int64
        Flat good pixels that reached the detector's limit in some frame, ascending; they gave no photons then.
    saturated_in : ndarray, shape (any,), uint64
        The bits of these frames in the word.
    """

    usable: np.ndarray
    set_aside: tuple[tuple[int, str], ...]
    saturated: np.ndarray
    saturated_in: np.ndarray


@dataclass(frozen=True, slots=True)
class _Stored:
    """Frames of a piece: their bytes (held here as long as kernels have the addresses), bits and status."""

    held: list[np.ndarray]
    chunks: kernels.Chunks
    bits: np.ndarray
    status: np.ndarray


@dataclass(frozen=True, slots=True)
class _Target:
    """Where photons go: into words, or into the lists of tiles if there are any.

    ``fresh``: what the first plane of the words holds is void.
    """

    words: Words
    tiles: Tiles
    fresh: bool


_NO_TILES: Tiles = (np.empty((0, 0), np.uint32), np.empty(0, np.int64), 1)
_NO_WORDS = np.empty((0, 0), np.uint64), np.empty(0, np.uint8)


@dataclass(slots=True)
class _Room:
    """Scratch of one thread: one decoded block and the rows of it."""

    block: np.ndarray
    rows: np.ndarray


class WordDecoder:
    """Decodes the frames of one series into photon words.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool
        Pixels that may give photons.
    order : PixelOrder
        Places of the pixels in the words.
    dtype : numpy dtype
        Pixel type as stored; its maximum is never a count.
    saturation_value : int or None
        Largest trustworthy count, from the detector; larger counts are saturation.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone.
    """

    def __init__(
        self,
        good: np.ndarray,
        order: PixelOrder,
        dtype: np.dtype,
        saturation_value: int | None = None,
        pool: Executor | None = None,
    ) -> None:
        self._shape_yx = good.shape
        self._dtype = np.dtype(dtype)
        self._frame_pixels = good.size
        type_maximum = int(np.iinfo(self._dtype).max)
        limit = min(type_maximum, saturation_value + 1) if saturation_value else type_maximum
        # Room behind the last word, because eight words are read at once.
        words = np.concatenate([mask_words(good), np.zeros(8, np.uint64)])
        self._pixels = (words, order.position_of_pixel, limit)
        # Kept, and cleared where it was written: hardly ever is anything.
        self._saturated = np.zeros(self._frame_pixels + 1, np.uint64)
        self._pool = pool
        tiles = -(-good.size // order.tile_pixels)
        # Touched only where photons are listed.
        listed = zeros_when_touched((tiles, order.tile_pixels + MOST_AT_ONCE), np.uint32)
        self._tiles: Tiles = (listed, np.zeros(tiles, np.int64), order.tile_pixels)
        self._rooms = threading.local()

    def decode(self, batch: FrameBatch, first_bit: int, words: PhotonWords) -> DecodedFrames:
        """Write the frames of a batch into the bits of the word from ``first_bit`` on; all must fit into it.

        The bit of a frame that cannot be used stays empty.

        Raises
        ------
        ValueError
            The frames do not fit; the kernels do not check their bits.
        """
        number = len(batch.chunks)
        if not 0 <= first_bit <= WORD_FRAMES - number:
            raise ValueError(f"{number} frames from {first_bit} on do not fit into a word of {WORD_FRAMES}")
        if batch.shape_yx != self._shape_yx or np.dtype(batch.dtype) != self._dtype:
            reason = (
                f"frames of {batch.source} are {batch.shape_yx[0]}x{batch.shape_yx[1]} {np.dtype(batch.dtype).name}, "
                f"the series began with {self._shape_yx[0]}x{self._shape_yx[1]} {self._dtype.name}"
            )
            set_aside = tuple((int(n), reason) for n in batch.frame_numbers)
            return DecodedFrames(np.zeros(number, bool), set_aside, *self._take_saturated())
        bits = np.arange(first_bit, first_bit + number)
        status = self._list_photons(batch, bits, words) if words.photons_now is not None else None
        if status is None:
            status = self._write_words(batch, bits, words)
        set_aside = tuple(
            (int(batch.frame_numbers[index]), self._reason(batch, int(index), int(status[index])))
            for index in np.flatnonzero(status != OK)
        )
        return DecodedFrames(status == OK, set_aside, *self._take_saturated())

    def _write_words(self, batch: FrameBatch, bits: np.ndarray, words: PhotonWords) -> np.ndarray:
        """Write frames into the words; returns their status."""
        fresh = words.begin_writing()
        stored = self._stored(batch.chunks, bits)
        target = _Target((words.now, words.many_now, self._saturated), _NO_TILES, fresh)
        put = self._put_plain if batch.codec == "raw" else self._put_bitshuffle_lz4
        words.note_planes(put(stored, target))
        bad = np.flatnonzero(stored.status != OK)
        if bad.size:
            words.forget(sum(1 << int(bits[index]) for index in bad))
            # They may have marked pixels as saturated before they were found out: the good ones are asked alone.
            self._take_saturated()
            put(self._good(batch, stored), replace(target, fresh=False))
        return stored.status

    def _list_photons(self, batch: FrameBatch, bits: np.ndarray, words: PhotonWords) -> np.ndarray | None:
        """List the photons of frames; returns their status, or ``None`` if they cannot be listed: nothing was done."""
        if batch.codec == "raw":
            return None
        listed, numbers, _ = self._tiles
        target = _Target((*_NO_WORDS, self._saturated), self._tiles, fresh=False)
        numbers[:] = 0
        stored = self._stored(batch.chunks, bits)
        self._put_bitshuffle_lz4(stored, target)
        if np.any(stored.status != OK):
            # What they had listed and marked as saturated before they were found out is void.
            self._take_saturated()
            numbers[:] = 0
            self._put_bitshuffle_lz4(self._good(batch, stored), target)
        if np.any(numbers == TOO_MANY):
            self._take_saturated()
            return None
        # The last tile may have got single pixels from behind the blocks.
        listed[-1, : numbers[-1]].sort()
        parts = [tile[:number] for tile, number in zip(listed, numbers.tolist(), strict=True)]
        words.list_photons(np.concatenate(parts))
        return stored.status

    def _good(self, batch: FrameBatch, stored: _Stored) -> _Stored:
        """The frames alone that can be used."""
        good = np.flatnonzero(stored.status == OK)
        return self._stored([batch.chunks[index] for index in good], stored.bits[good])

    def _take_saturated(self) -> tuple[np.ndarray, np.ndarray]:
        """Saturated pixels and the bits of their frames since the last time."""
        if not self._saturated[-1]:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        self._saturated[-1] = 0
        pixels = np.flatnonzero(self._saturated)
        bits = self._saturated[pixels]
        self._saturated[pixels] = 0
        return pixels, bits

    def _reason(self, batch: FrameBatch, index: int, status: int) -> str:
        return f"frame {batch.frame_numbers[index]} in {batch.source}: {REASONS[status]}"

    def _stored(self, chunks: Sequence[bytes], bits: np.ndarray) -> _Stored:
        parts = [np.frombuffer(chunk, np.uint8) for chunk in chunks]
        address = np.array([part.ctypes.data for part in parts], np.int64)
        sizes = np.array([part.size for part in parts], np.int64)
        return _Stored(parts, (address, sizes), bits, np.zeros(bits.size, np.int64))

    def _room(self, pixels: int) -> _Room:
        """Scratch of this thread for blocks of this many pixels."""
        room: _Room | None = getattr(self._rooms, "room", None)
        size = rows_size(pixels)
        if room is None or room.rows.size < size:
            block = np.zeros(MAX_BLOCK_BYTES + 2 * MARGIN, np.uint8)
            room = self._rooms.room = _Room(block, np.zeros(size, np.uint64))
        return room

    def _share_out(
        self,
        pieces: int,
        status: np.ndarray,
        work: Callable[[range, np.ndarray], int],
    ) -> int:
        """Do ``work`` on ranges of pieces, each with a status of its own, and gather; returns the planes in use."""
        threads = 1 if self._pool is None else processors()
        ranges = [range(*share) for share in shrinking_shares(pieces, threads)]
        found = [status.copy() for _ in ranges]
        made = share_out(self._pool, lambda piece: work(*piece), zip(ranges, found, strict=True))
        planes = max(made, default=1)
        for part in found:
            np.maximum(status, part, out=status)
        return planes

    def _put_plain(self, stored: _Stored, target: _Target) -> int:
        frame_bytes = self._frame_pixels * self._dtype.itemsize
        stored.status[stored.chunks[1] != frame_bytes] = WRONG_SIZE

        def work(pieces: range, status: np.ndarray) -> int:
            planes = 1
            for piece in pieces:
                first = piece * _PLAIN_PIXELS
                size = min(_PLAIN_PIXELS, self._frame_pixels - first)
                starts = np.full(stored.bits.size, first * self._dtype.itemsize)
                planes = max(planes, self._put_pixels(stored, starts, first, size, target, status))
            return planes

        return self._share_out(-(-self._frame_pixels // _PLAIN_PIXELS), stored.status, work)

    def _put_pixels(
        self,
        stored: _Stored,
        starts: np.ndarray,
        first: int,
        size: int,
        target: _Target,
        status: np.ndarray,
    ) -> int:
        rows = self._room(size).rows
        return kernels.put_plain(
            stored.chunks,
            starts,
            stored.bits,
            first,
            size,
            self._dtype.itemsize,
            target.fresh,
            target.tiles,
            self._pixels,
            rows,
            target.words,
            status,
        )

    def _put_bitshuffle_lz4(self, stored: _Stored, target: _Target) -> int:
        # All frames of a series have blocks of one size; the one that most have is right.
        headers = [check_header(chunk, self._frame_pixels, self._dtype.itemsize) for chunk in stored.held]
        found = [block_pixels for status, block_pixels in headers if status == OK]
        if found:
            return self._put_blocks(stored, statistics.mode(found), target)
        stored.status[:] = [status for status, _ in headers]
        if target.fresh:
            target.words[0][0] = 0
        return 1

    def _edges(self, stored: _Stored, blocks: int, sizes: tuple[int, int, int]) -> np.ndarray:
        """Where the blocks of the frames stand, shape (frame, block + 1), int64."""
        edges = np.zeros((stored.bits.size, blocks + 1), np.int64)

        def index(frames: range, status: np.ndarray) -> int:
            kernels.index_chunks(stored.chunks, (frames.start, frames.stop), *sizes, edges, status)
            return 1

        self._share_out(stored.bits.size, stored.status, index)
        return edges

    def _put_blocks(self, stored: _Stored, block_pixels: int, target: _Target) -> int:
        listed, numbers, tile_pixels = target.tiles
        if tile_pixels % block_pixels and numbers.size:
            # A block belongs to several tiles.
            numbers[:] = TOO_MANY
            return 1
        blocks = blocks_of(self._frame_pixels, block_pixels)
        sizes = (block_pixels, self._frame_pixels, self._dtype.itemsize)
        edges = self._edges(stored, blocks, sizes)
        # A list belongs to one thread: all blocks of a tile go together.
        step = max(1, tile_pixels // block_pixels)

        def work(pieces: range, status: np.ndarray) -> int:
            room = self._room(block_pixels)
            planes = kernels.put_blocks(
                stored.chunks,
                edges,
                stored.bits,
                (pieces.start * step, min(pieces.stop * step, blocks)),
                *sizes,
                target.fresh,
                target.tiles,
                self._pixels,
                room.block,
                room.rows,
                target.words,
                status,
            )
            for tile in pieces if numbers.size else ():
                listed[tile, : max(0, numbers[tile])].sort()
            return planes

        planes = self._share_out(-(-blocks // step), stored.status, work)
        left = self._frame_pixels % 8
        if left:
            first = self._frame_pixels - left
            behind = self._put_pixels(stored, edges[:, -1], first, left, target, stored.status)
            planes = max(planes, behind)
        return planes
