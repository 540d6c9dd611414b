"""Cuts batches of frames, so that no result depends on how many frames happened to arrive together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.frames import FrameBatch


def part_of(batch: FrameBatch, first: int, last: int | None = None) -> FrameBatch:
    """The frames at the positions ``first`` up to, but not including, ``last``."""
    part = slice(first, last)
    return replace(batch, frame_numbers=batch.frame_numbers[part], chunks=batch.chunks[part])


def chosen_from(batch: FrameBatch, positions: list[int]) -> FrameBatch:
    """The frames at these positions."""
    chunks = tuple(batch.chunks[position] for position in positions)
    return replace(batch, frame_numbers=batch.frame_numbers[positions], chunks=chunks)


def pieces_within(batch: FrameBatch, frames: int) -> list[FrameBatch]:
    """The batch, cut wherever the next frame lies in another of the intervals of ``frames`` frames.

    An empty batch has no pieces.
    """
    if not batch.chunks:
        return []
    edges = np.flatnonzero(np.diff(batch.frame_numbers // frames)) + 1
    bounds = [0, *edges.tolist(), len(batch.chunks)]
    return [part_of(batch, first, last) for first, last in zip(bounds, bounds[1:], strict=False)]
