"""Batches of stored frames to photon events; frames that cannot be read are set aside in words."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_twins import literal_chunk

from backend.detector.event_decoder import EventDecoder, mask_words
from backend.frames import FrameBatch

SHAPE = (30, 41)


def movie(frames: int, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(1).poisson(0.2, (frames, *SHAPE)).astype(dtype)


def batch(
    chunks: list[bytes], codec: str = "bslz4", dtype: type = np.uint16, shape_yx: tuple[int, int] = SHAPE
) -> FrameBatch:
    return FrameBatch(
        series="a_00001",
        frame_numbers=np.arange(len(chunks), dtype=np.int64) + 10,
        chunks=tuple(chunks),
        codec=codec,
        dtype=np.dtype(dtype),
        shape_yx=shape_yx,
        source="a_00001_data_000001.h5",
    )


@pytest.mark.parametrize("codec", ["bslz4", "raw"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_frames_come_out_as_they_went_in(codec: str, dtype: type) -> None:
    frames = movie(7, dtype)
    frames[:, 3, 5] = np.iinfo(dtype).max
    chunks = [literal_chunk(frame, 512) if codec == "bslz4" else frame.tobytes() for frame in frames]
    with EventDecoder(np.ones(SHAPE, bool), np.dtype(dtype), threads=3) as decoder:
        events = decoder.decode(batch(chunks, codec, dtype))
    assert events.frame_numbers.tolist() == list(range(10, 17))
    assert events.saturated_pixel.tolist() == [3 * SHAPE[1] + 5]
    for index, frame in enumerate(frames):
        pixel, count = events.frame(index)
        rebuilt = np.zeros(frame.size, dtype)
        rebuilt[pixel] = count
        rebuilt[3 * SHAPE[1] + 5] = np.iinfo(dtype).max
        assert np.array_equal(rebuilt, frame.ravel())


def test_masked_pixels_give_neither_events_nor_saturation() -> None:
    frames = movie(2)
    frames[:, 0] = 65535
    good = np.ones(SHAPE, bool)
    good[0] = False
    with EventDecoder(good, np.dtype(np.uint16)) as decoder:
        events = decoder.decode(batch([literal_chunk(frame, 64) for frame in frames]))
    assert events.saturated_pixel.size == 0
    assert events.pixel.min() >= SHAPE[1]


@pytest.mark.parametrize(("saturation_value", "kept"), [(None, [5, 6, 7]), (6, [5, 6]), (10**6, [5, 6, 7])])
def test_counts_beyond_the_saturation_value_are_not_photons(
    saturation_value: int | None, kept: list[int]
) -> None:
    frame = np.zeros(SHAPE, np.uint16)
    frame[0, :3] = [5, 6, 7]
    with EventDecoder(np.ones(SHAPE, bool), np.dtype(np.uint16), saturation_value) as decoder:
        events = decoder.decode(batch([literal_chunk(frame, 64)]))
    assert events.count.tolist() == kept
    assert events.saturated_pixel.size == 3 - len(kept)


@pytest.mark.parametrize("codec", ["bslz4", "raw"])
@pytest.mark.parametrize("broken", [b"", b"\0", b"\0" * 11, b"\xff" * 400])
def test_a_broken_frame_is_set_aside_in_words_and_the_others_stay(codec: str, broken: bytes) -> None:
    frames = movie(3)
    chunks = [literal_chunk(frame, 512) if codec == "bslz4" else frame.tobytes() for frame in frames]
    chunks[1] = broken
    with EventDecoder(np.ones(SHAPE, bool), np.dtype(np.uint16)) as decoder:
        events = decoder.decode(batch(chunks, codec))
    assert events.frame_numbers.tolist() == [10, 12]
    ((number, reason),) = events.set_aside
    assert number == 11
    assert "frame 11 in a_00001_data_000001.h5: the chunk" in reason
    assert np.array_equal(events.frame(1)[0], np.flatnonzero(frames[2]))


def test_another_shape_or_type_is_set_aside_in_words() -> None:
    with EventDecoder(np.ones(SHAPE, bool), np.dtype(np.uint16)) as decoder:
        other_shape = decoder.decode(batch([b"x", b"y"], shape_yx=(3, 4)))
        other_type = decoder.decode(batch([b"x"], dtype=np.uint32))
    assert [number for number, _ in other_shape.set_aside] == [10, 11]
    assert "are 3x4 uint16, the series began with 30x41 uint16" in other_shape.set_aside[0][1]
    assert "30x41 uint32" in other_type.set_aside[0][1]
    assert other_shape.frame_numbers.size == other_shape.pixel.size == 0
    assert other_shape.offset.tolist() == [0]


def test_an_empty_batch_has_no_events() -> None:
    with EventDecoder(np.ones(SHAPE, bool), np.dtype(np.uint16)) as decoder:
        events = decoder.decode(batch([]))
    assert events.frame_numbers.size == events.count.size == 0


@pytest.mark.parametrize("shape_yx", [(1, 1), (5, 13), (8, 8), (3, 43)])
def test_mask_words_hold_one_bit_per_good_pixel(shape_yx: tuple[int, int]) -> None:
    good = np.random.default_rng(2).random(shape_yx) > 0.5
    words = mask_words(good)
    bits = [(int(words[i >> 6]) >> (i & 63)) & 1 for i in range(64 * len(words))]
    assert bits[: good.size] == good.ravel().astype(int).tolist()
    assert not any(bits[good.size :])
