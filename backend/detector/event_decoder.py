"""From a batch of frames as they were stored to photon events, several frames at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from backend.detector import bitshuffle_lz4 as kernels
from backend.detector.bitshuffle_chunk import MAX_BLOCK_BYTES, OK, REASONS
from backend.detector.lz4_blocks import MARGIN
from backend.frames import FrameBatch
from backend.photon_events import EventBatch, distinct_pixels


@dataclass(slots=True)
class _Buffers:
    scratch: np.ndarray
    pixel: np.ndarray
    count: np.ndarray
    saturated: np.ndarray


@dataclass(frozen=True, slots=True)
class _Decoded:
    status: int
    pixel: np.ndarray
    count: np.ndarray
    saturated: np.ndarray


def mask_words(good: np.ndarray) -> np.ndarray:
    """Good pixels as bits: shape (ceil(pixel / 64),), uint64, from ``good`` of shape (y, x), bool."""
    packed = np.packbits(good.ravel(), bitorder="little")
    words = np.zeros((good.size + 63) // 64 * 8, np.uint8)
    words[: packed.size] = packed
    return words.view("<u8")


class EventDecoder:
    """Decodes the frames of one series. Use :meth:`close` or ``with`` to end its threads.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool
        Pixels that may give events.
    dtype : numpy dtype
        Pixel type as stored; its maximum is never a count.
    saturation_value : int or None
        Largest trustworthy count, from the detector; larger counts are saturation.
    threads : int or None
        Frames decoded at once; ``None`` = one per processor.
    """

    def __init__(
        self,
        good: np.ndarray,
        dtype: np.dtype,
        saturation_value: int | None = None,
        threads: int | None = None,
    ) -> None:
        self._shape_yx = good.shape
        self._dtype = np.dtype(dtype)
        self._pixels = good.size
        self._good = mask_words(good)
        type_maximum = int(np.iinfo(self._dtype).max)
        self._limit = min(type_maximum, saturation_value + 1) if saturation_value else type_maximum
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="decode")
        self._local = threading.local()

    def __enter__(self) -> EventDecoder:
        """The decoder itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the threads."""
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)

    def decode(self, batch: FrameBatch) -> EventBatch:
        """Photon events of all frames that can be decoded; the others are in ``set_aside`` with the reason."""
        if batch.shape_yx != self._shape_yx or np.dtype(batch.dtype) != self._dtype:
            reason = (
                f"frames of {batch.source} are {batch.shape_yx[0]}x{batch.shape_yx[1]} {np.dtype(batch.dtype).name}, "
                f"the series began with {self._shape_yx[0]}x{self._shape_yx[1]} {self._dtype.name}"
            )
            return _gather(batch, [None] * len(batch.chunks), reason)
        one = self._plain if batch.codec == "raw" else self._bitshuffle_lz4
        return _gather(batch, list(self._pool.map(one, batch.chunks)), "")

    def _buffers(self) -> _Buffers:
        buffers: _Buffers | None = getattr(self._local, "buffers", None)
        if buffers is None:
            buffers = _Buffers(
                np.empty(MAX_BLOCK_BYTES + 2 * MARGIN, np.uint8),
                np.empty(self._pixels, np.uint32),
                np.empty(self._pixels, np.uint32),
                np.empty(self._pixels, np.uint32),
            )
            self._local.buffers = buffers
        return buffers

    def _bitshuffle_lz4(self, chunk: bytes) -> _Decoded:
        room = self._buffers()
        status, events, saturated = kernels.chunk_events(
            np.frombuffer(chunk, np.uint8),
            self._pixels,
            self._dtype.itemsize,
            self._good,
            self._limit,
            room.scratch,
            room.pixel,
            room.count,
            room.saturated,
        )
        return _copy_out(status, events, saturated, room)

    def _plain(self, frame: bytes) -> _Decoded:
        room = self._buffers()
        status, events, saturated = kernels.plain_events(
            np.frombuffer(frame, np.uint8),
            self._pixels,
            self._dtype.itemsize,
            self._good,
            self._limit,
            room.pixel,
            room.count,
            room.saturated,
        )
        return _copy_out(status, events, saturated, room)


def _copy_out(status: int, events: int, saturated: int, room: _Buffers) -> _Decoded:
    return _Decoded(
        status, room.pixel[:events].copy(), room.count[:events].copy(), room.saturated[:saturated].copy()
    )


def _gather(batch: FrameBatch, decoded: Sequence[_Decoded | None], refusal: str) -> EventBatch:
    usable = []
    numbers = []
    set_aside = []
    for number, frame in zip(batch.frame_numbers.tolist(), decoded, strict=True):
        if frame is None:
            set_aside.append((number, refusal))
        elif frame.status != OK:
            set_aside.append((number, f"frame {number} in {batch.source}: {REASONS[frame.status]}"))
        else:
            usable.append(frame)
            numbers.append(number)
    offset = np.zeros(len(usable) + 1, np.int64)
    np.cumsum([frame.pixel.size for frame in usable], out=offset[1:])
    empty = np.empty(0, np.uint32)
    return EventBatch(
        frame_numbers=np.array(numbers, np.int64),
        offset=offset,
        pixel=np.concatenate([empty, *(frame.pixel for frame in usable)]),
        count=np.concatenate([empty, *(frame.count for frame in usable)]),
        saturated_pixel=distinct_pixels(frame.saturated for frame in usable),
        set_aside=tuple(set_aside),
    )
