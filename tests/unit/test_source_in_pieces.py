"""Long batches come out of the source thread in pieces, so that nobody is kept busy for long by one of them."""

from __future__ import annotations

import threading

import numpy as np

from backend.acquisition.source_thread import SourceThread
from backend.frames import FrameBatch, SeriesEnded, SourceEvent


class _OneBatch:
    description = "one batch and the end"

    def __init__(self, frames: int) -> None:
        chunks = tuple(number.to_bytes(2) for number in range(frames))
        numbers = np.arange(frames, dtype=np.int64)
        self.batch = FrameBatch("s", numbers, chunks, "raw", np.dtype("u2"), (1, 1), "file 1")
        self.finished = False

    def poll(self) -> list[SourceEvent]:
        self.finished = True
        return [self.batch, SeriesEnded("s", True, len(self.batch.chunks), "")]


def test_a_long_batch_comes_in_pieces_that_lose_nothing() -> None:
    source = _OneBatch(200)
    acquisition = SourceThread(source)
    acquisition.start()
    pause = threading.Event()
    pieces: list[FrameBatch] = []
    waiting: list[int] = []
    while not acquisition.exhausted:
        event = acquisition.next_event()
        if isinstance(event, FrameBatch):
            pieces.append(event)
            waiting.append(acquisition.waiting_frames)
        elif isinstance(event, SeriesEnded):
            assert waiting[-1] == 0
        else:
            pause.wait(0.001)
    acquisition.stop()
    assert [len(piece.chunks) for piece in pieces] == [64, 64, 64, 8]
    assert np.array_equal(
        np.concatenate([piece.frame_numbers for piece in pieces]), source.batch.frame_numbers
    )
    assert tuple(chunk for piece in pieces for chunk in piece.chunks) == source.batch.chunks
    assert {piece.source for piece in pieces} == {"file 1"}
    assert waiting == sorted(waiting, reverse=True)
