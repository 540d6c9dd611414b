"""Frames as they were stored to photon words: equal to numpy, and bad frames leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from filter_chunks import UNSIGNED, filter_chunks, random_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import literal_chunk, photon_list, photon_words, plane_flags
from word_movies import pieces

from backend.detector.word_decoder import DecodedFrames, WordDecoder
from backend.frames import Codec, FrameBatch
from backend.photon_words import HIGHEST_COUNT, WORD_FRAMES, PhotonWords
from backend.pixel_order import order_pixels


@pytest.fixture(scope="module")
def pools() -> Iterator[list[ThreadPoolExecutor | None]]:
    """One thread, two and five."""
    with ThreadPoolExecutor(2) as two, ThreadPoolExecutor(5) as five:
        yield [None, two, five]


@dataclass
class Series:
    """Frames of one type, their chunks, and a decoder with words for them."""

    frames: np.ndarray
    good: np.ndarray
    saturation_value: int | None = None
    codec: Codec = "bslz4"
    block_pixels: int = 0
    tile_pixels: int = 65536
    pool: ThreadPoolExecutor | None = None
    listed: bool = False

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.frames.size)
        cell = np.where(self.good.ravel(), generator.integers(-1, 4, self.good.size), -1).astype(np.int16)
        self.order = order_pixels(cell, 4, self.tile_pixels)
        self.words = PhotonWords(self.order)
        if self.listed:
            # After a word with few photons the next begins as a list.
            self.words.turn()
        self.decoder = WordDecoder(self.good, self.order, self.frames.dtype, self.saturation_value, self.pool)
        top = int(np.iinfo(self.frames.dtype).max)
        self.limit = min(top, self.saturation_value + 1) if self.saturation_value else top
        raw = self.codec == "raw"
        self.chunks = (
            [frame.tobytes() for frame in self.frames]
            if raw
            else filter_chunks(self.frames, self.block_pixels)
        )

    def batch(self, piece: slice) -> FrameBatch:
        return FrameBatch(
            series="a_00001",
            frame_numbers=np.arange(piece.start, piece.stop, dtype=np.int64) + 10,
            chunks=tuple(self.chunks[piece]),
            codec=self.codec,
            dtype=self.frames.dtype,
            shape_yx=self.good.shape,
            source="a_00001_data_000001.h5",
        )

    def decode(self, piece: slice) -> DecodedFrames:
        return self.decoder.decode(self.batch(piece), piece.start % WORD_FRAMES, self.words)

    def photons(self, piece: slice, usable: np.ndarray | None = None) -> np.ndarray:
        """Counts that must be in the words, shape (frame, pixel)."""
        flat = self.frames[piece].reshape(piece.stop - piece.start, -1)
        counts = np.where(self.good.ravel() & (flat < self.limit), flat, 0)
        return counts if usable is None else np.where(usable[:, None], counts, 0)

    def usable(self, piece: slice) -> np.ndarray:
        return np.all(self.photons(piece) <= HIGHEST_COUNT, axis=1)

    def assert_saturated(self, decoded: DecodedFrames, piece: slice) -> None:
        """Pixels and the bits of the frames in which they were, as many as the photons say."""
        flat = self.frames[piece].reshape(piece.stop - piece.start, -1)
        there = self.good.ravel() & (flat >= self.limit) & decoded.usable[:, None]
        bits = np.uint64(1) << np.arange(piece.start, piece.stop).astype(np.uint64) % np.uint64(WORD_FRAMES)
        whole = np.bitwise_or.reduce(np.where(there, bits[:, None], np.uint64(0)), axis=0)
        assert np.array_equal(decoded.saturated, np.flatnonzero(whole))
        assert np.array_equal(decoded.saturated_in, whole[decoded.saturated])

    def assert_words_hold(self, photons: np.ndarray, first_bit: int = 0) -> None:
        if self.words.photons_now is not None:
            assert np.array_equal(self.words.photons_now, photon_list(photons, self.order, first_bit))
        expected = photon_words(photons, self.order, first_bit)
        assert np.array_equal(self.words.now, expected)
        assert not np.any(plane_flags(expected) & ~self.words.many_now)
        assert not expected[self.words.planes :].any()


def movie(
    generator: np.random.Generator, frames: int, shape_yx: tuple[int, int], dtype: type, mean: float
) -> np.ndarray:
    """Photons, the odd count up to 65535, and pixels at the type's maximum; a few frames too bright."""
    top = int(np.iinfo(dtype).max)
    made = np.minimum(generator.poisson(mean, (frames, *shape_yx)), top).astype(dtype)
    high = generator.integers(0, min(HIGHEST_COUNT, top), made.shape, endpoint=True)
    bright = generator.random((frames, 1, 1)) < 0.3
    made = np.where(bright & (generator.random(made.shape) < 0.002), high, made).astype(dtype)
    made[:, generator.random(shape_yx) < 0.02] = top
    if top > HIGHEST_COUNT:
        too_bright = (generator.random((frames, 1, 1)) < 0.05) & (generator.random(made.shape) < 0.002)
        made[too_bright] = generator.integers(HIGHEST_COUNT + 1, top, too_bright.sum())
    return made


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(UNSIGNED),
    shape_yx=st.sampled_from([(1, 1), (1, 7), (3, 21), (8, 8), (64, 64), (37, 61), (53, 97)]),
    mean=st.sampled_from([0.0, 0.001, 0.01, 0.4, 30.0]),
    block_pixels=st.sampled_from([0, 8, 24, 64, 512, 1024, 1088]),
    codec=st.sampled_from(["bslz4", "bslz4", "raw"]),
    frames=st.integers(1, 140),
    longest=st.lists(st.integers(1, WORD_FRAMES), min_size=1, max_size=3),
    saturation_value=st.one_of(st.none(), st.integers(1, 9), st.sampled_from([255, 60_000, 10**6])),
    threads=st.integers(0, 2),
    tile_pixels=st.sampled_from([64, 1000, 65536]),
    listed=st.booleans(),
)
def test_words_equal_numpy_for_any_frames_and_any_cuts(
    pools: list[ThreadPoolExecutor | None],
    seed: int,
    dtype: type,
    shape_yx: tuple[int, int],
    mean: float,
    block_pixels: int,
    codec: Codec,
    frames: int,
    longest: list[int],
    saturation_value: int | None,
    threads: int,
    tile_pixels: int,
    listed: bool,
) -> None:
    generator = np.random.default_rng(seed)
    good = generator.random(shape_yx) > 0.1
    stored = movie(generator, frames, shape_yx, dtype, mean)
    series = Series(stored, good, saturation_value, codec, block_pixels, tile_pixels, pools[threads], listed)
    for piece in pieces(frames, longest):
        if piece.start and piece.start % WORD_FRAMES == 0:
            series.words.turn()
        decoded = series.decode(piece)
        usable = series.usable(piece)
        assert np.array_equal(decoded.usable, usable)
        assert [number for number, _ in decoded.set_aside] == (
            np.flatnonzero(~usable) + 10 + piece.start
        ).tolist()
        series.assert_saturated(decoded, piece)
        word = slice(piece.start // WORD_FRAMES * WORD_FRAMES, piece.stop)
        series.assert_words_hold(series.photons(word, series.usable(word)))


@pytest.mark.parametrize("codec", ["bslz4", "raw"])
@pytest.mark.parametrize("first_bit", [0, 1, 31, 62])
def test_frames_stand_where_the_first_bit_says(codec: Codec, first_bit: int) -> None:
    generator = np.random.default_rng(first_bit)
    series = Series(movie(generator, 2, (40, 30), np.uint16, 0.5), np.ones((40, 30), bool), codec=codec)
    series.decoder.decode(series.batch(slice(0, 2)), first_bit, series.words)
    series.assert_words_hold(series.photons(slice(0, 2)), first_bit)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("block_pixels", [512, 4096, 8192])
def test_long_segments_and_all_threads(
    pools: list[ThreadPoolExecutor | None], dtype: type, block_pixels: int, listed: bool
) -> None:
    """Larger than one tile and than the longest segment, with gaps that hold the type's maximum."""
    generator = np.random.default_rng(block_pixels)
    frames = movie(generator, 5, (260, 270), dtype, 0.05)
    if listed:
        # What can be listed: no bright pixels.
        frames[(frames > 3) & (frames < np.iinfo(dtype).max)] = 3
    good = np.ones((260, 270), bool)
    good[100:120] = good[:, 50:60] = False
    frames[:, ~good] = np.iinfo(dtype).max
    for pool in pools:
        series = Series(frames, good, block_pixels=block_pixels, pool=pool, listed=listed)
        decoded = series.decode(slice(0, 5))
        assert (series.words.photons_now is not None) == listed
        series.assert_words_hold(series.photons(slice(0, 5), decoded.usable))


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(("mean", "listed"), [(0.05, False), (2.0, False), (0.01, True)])
@pytest.mark.parametrize(
    "damage",
    [
        lambda chunk: b"",
        lambda chunk: chunk[:-1],
        lambda chunk: chunk + b"\0",
        lambda chunk: chunk[:12] + b"\xff" * (len(chunk) - 12),
        # Only the last block is damaged: all others have been written before it is noticed.
        lambda chunk: chunk[:-40] + b"\xff" * 40,
        lambda chunk: chunk[:8] + (8 * 2).to_bytes(4, "big") + chunk[12:],
    ],
)
def test_a_bad_frame_between_good_ones_leaves_no_trace(
    pools: list[ThreadPoolExecutor | None], damage: object, mean: float, listed: bool, threads: int
) -> None:
    assert callable(damage)
    generator = np.random.default_rng(7)
    frames = movie(generator, 9, (40, 64), np.uint16, mean)
    if listed:
        frames[(frames > 63) & (frames < 65535)] = 2
    # What only the bad frame has must not be seen: bright pixels and saturation.
    frames[4, :, 5] = 65535
    frames[4, :, 6] = 40_000
    series = Series(frames, np.ones((40, 64), bool), block_pixels=512, pool=pools[threads], listed=listed)
    series.chunks[4] = damage(series.chunks[4])
    for piece in (slice(0, 3), slice(3, 6), slice(6, 9)):
        decoded = series.decode(piece)
        usable = np.arange(piece.start, piece.stop) != 4
        assert decoded.usable.tolist() == usable.tolist()
        series.assert_saturated(decoded, piece)
        if piece.start == 3:
            ((number, reason),) = decoded.set_aside
            assert number == 14
            assert "frame 14 in a_00001_data_000001.h5: the" in reason
    assert (series.words.photons_now is not None) == listed
    series.assert_words_hold(series.photons(slice(0, 9), np.arange(9) != 4))


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: np.where(np.arange(frames[0].size).reshape(frames[0].shape) == 77, 64, frames),
        lambda frames: frames + 7,
    ],
)
def test_a_list_that_becomes_too_long_or_gets_a_bright_pixel_becomes_words(change: object) -> None:
    assert callable(change)
    frames = np.random.default_rng(5).poisson(0.01, (20, 64, 512)).astype(np.uint16)
    frames[12:] = change(frames[12:])
    series = Series(frames, np.ones((64, 512), bool), block_pixels=1024, listed=True)
    series.decode(slice(0, 12))
    assert series.words.photons_now is not None
    series.words.forget(0b101)
    frames[[0, 2]] = 0
    series.assert_words_hold(series.photons(slice(0, 12)))
    series.decode(slice(12, 20))
    assert series.words.photons_now is None
    series.assert_words_hold(series.photons(slice(0, 20)))


def test_blocks_with_the_same_bytes_are_those_of_each_frame() -> None:
    """Empty blocks are found by their bytes: also where pixels without light are masked, and between other frames."""
    frames = np.zeros((WORD_FRAMES, 16, 512), np.uint16)
    frames[:, :, 100:110] = 65535
    frames[::3, 5, 200:220] = 1
    frames[1::5, 9, 7] = 3
    good = np.ones((16, 512), bool)
    good[:, 100:110] = False
    for listed in (False, True):
        series = Series(frames, good, block_pixels=1024, listed=listed)
        assert series.decode(slice(0, WORD_FRAMES)).usable.all()
        series.assert_words_hold(series.photons(slice(0, WORD_FRAMES)))


def test_a_frame_that_is_too_bright_leaves_no_trace() -> None:
    frames = random_frame(np.random.default_rng(8), (33, 64), np.uint32, 0.5)
    frames = np.minimum(np.stack([frames, frames[::-1], frames]), 3).astype(np.uint32)
    frames[1, 20:, 3] = 65536
    frames[1, :5, 4] = 2**32 - 1
    for codec in ("bslz4", "raw"):
        series = Series(frames, np.ones((33, 64), bool), codec=codec, block_pixels=512)
        decoded = series.decode(slice(0, 3))
        ((number, reason),) = decoded.set_aside
        assert number == 11 and "more than 65535 counts" in reason
        assert not decoded.saturated.size
        series.assert_words_hold(series.photons(slice(0, 3), np.array([True, False, True])))


@pytest.mark.parametrize("codec", ["bslz4", "raw"])
def test_words_are_empty_when_all_frames_are_bad(codec: Codec) -> None:
    frames = movie(np.random.default_rng(9), 2 * WORD_FRAMES + 3, (30, 41), np.uint16, 0.5)
    series = Series(frames, np.ones((30, 41), bool), codec=codec)
    for piece in pieces(2 * WORD_FRAMES):
        series.decode(piece)
        series.words.turn()
    # What the words held two words ago must be gone.
    for broken in (b"", b"\xff" * 200):
        series.chunks[-1] = broken
        decoded = series.decode(slice(len(frames) - 1, len(frames)))
        assert not decoded.usable.any() and len(decoded.set_aside) == 1
        assert not decoded.saturated.size
        series.assert_words_hold(np.zeros((1, 30 * 41), int))


@pytest.mark.parametrize(
    ("shape_yx", "dtype", "said"),
    [((3, 4), np.uint16, "are 3x4 uint16"), ((30, 41), np.uint32, "30x41 uint32")],
)
def test_another_shape_or_type_is_set_aside_in_words(
    shape_yx: tuple[int, int], dtype: type, said: str
) -> None:
    frames = movie(np.random.default_rng(1), WORD_FRAMES, (30, 41), np.uint16, 0.5)
    series = Series(frames, np.ones((30, 41), bool))
    other = Series(np.ones((2, *shape_yx), dtype), np.ones(shape_yx, bool))
    for _ in range(2):
        series.decode(slice(0, WORD_FRAMES))
        series.words.turn()
    decoded = series.decoder.decode(other.batch(slice(0, 2)), 0, series.words)
    assert [number for number, _ in decoded.set_aside] == [10, 11]
    assert said in decoded.set_aside[0][1]
    assert "the series began with 30x41 uint16" in decoded.set_aside[0][1]
    assert not decoded.usable.any() and not decoded.saturated.size
    series.words.settle()
    series.assert_words_hold(np.zeros((1, 30 * 41), int))


@pytest.mark.parametrize("odd", [0, 1, 2])
@pytest.mark.parametrize(("usual", "other"), [(64, 128), (1024, 512)])
def test_a_frame_with_other_blocks_than_its_neighbours_is_set_aside(usual: int, other: int, odd: int) -> None:
    frames = movie(np.random.default_rng(2), 3, (32, 64), np.uint16, 0.2)
    series = Series(frames, np.ones((32, 64), bool), block_pixels=usual)
    series.chunks[odd] = literal_chunk(frames[odd], other)
    decoded = series.decode(slice(0, 3))
    assert decoded.usable.tolist() == [index != odd for index in range(3)]
    series.assert_words_hold(series.photons(slice(0, 3), decoded.usable))


@pytest.mark.parametrize("broken", [b"", b"\xff" * 100, b"\xff" * (32 * 64 * 2 + 1)])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_raw_frame_of_wrong_size_leaves_no_trace(broken: bytes, bad: int) -> None:
    frames = movie(np.random.default_rng(4), 3, (32, 64), np.uint16, 0.2)
    series = Series(frames, np.ones((32, 64), bool), codec="raw")
    series.chunks[bad] = broken
    decoded = series.decode(slice(0, 3))
    assert decoded.usable.tolist() == [index != bad for index in range(3)]
    series.assert_saturated(decoded, slice(0, 3))
    series.assert_words_hold(series.photons(slice(0, 3), decoded.usable))


@pytest.mark.parametrize("first_bit", [-1, 63, 64])
def test_frames_beyond_the_word_are_refused(first_bit: int) -> None:
    series = Series(np.ones((2, 32, 64), np.uint16), np.ones((32, 64), bool))
    with pytest.raises(ValueError, match="do not fit into a word of 64"):
        series.decoder.decode(series.batch(slice(0, 2)), first_bit, series.words)
    series.assert_words_hold(np.zeros((1, 32 * 64), int))


@pytest.mark.parametrize("codec", ["bslz4", "raw"])
def test_a_batch_without_frames_changes_nothing(codec: Codec) -> None:
    frames = movie(np.random.default_rng(3), 2, (20, 30), np.uint16, 0.5)
    series = Series(frames, np.ones((20, 30), bool), codec=codec)
    series.decode(slice(0, 2))
    decoded = series.decode(slice(2, 2))
    assert decoded.usable.size == 0 and decoded.set_aside == () and not decoded.saturated.size
    series.assert_words_hold(series.photons(slice(0, 2)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from(UNSIGNED),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
)
def test_flipped_bytes_leave_the_other_frames_alone(
    dtype: type, seed: int, flips: list[tuple[float, int]]
) -> None:
    frames = movie(np.random.default_rng(seed), 3, (19, 27), dtype, 0.5)
    series = Series(frames, np.ones((19, 27), bool), 60_000, block_pixels=64)
    chunk = bytearray(series.chunks[1])
    for place, change in flips:
        chunk[int(place * len(chunk))] ^= change
    series.chunks[1] = bytes(chunk)
    decoded = series.decode(slice(0, 3))
    kept = decoded.usable & np.array([True, False, True])
    assert np.array_equal(kept[[0, 2]], series.usable(slice(0, 3))[[0, 2]])
    if decoded.usable[1]:
        series.words.forget(2)
    series.assert_words_hold(series.photons(slice(0, 3), kept))
