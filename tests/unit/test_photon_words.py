"""The order of pixels, and words that hold 64 frames of every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import photon_list, photon_words, plane_flags
from speckle_movie import events_of
from word_movies import pieces, put_frame, put_frames

from backend.photon_word_kernels import BLOCK_POSITIONS, LONGEST_SEGMENT
from backend.photon_words import HIGHEST_COUNT, WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder, order_pixels


def random_cells(generator: np.random.Generator, pixels: int, cells: int) -> np.ndarray:
    return generator.integers(-1, cells, pixels).astype(np.int16)


def assert_order_is_sound(order: PixelOrder, cell_of_pixel: np.ndarray, cells: int, tile_pixels: int) -> None:
    position = order.position_of_pixel.astype(np.int64)
    assert np.unique(position).size == position.size
    start, stop, cell = order.segments
    assert np.all(stop > start) and np.all(stop - start <= LONGEST_SEGMENT) and np.all(start % 16 == 0)
    assert np.all(start[1:] >= stop[:-1])
    assert order.positions % BLOCK_POSITIONS == 0
    assert start.size == 0 or stop[-1] <= order.positions < stop[-1] + BLOCK_POSITIONS
    segment = np.searchsorted(start, position, "right") - 1
    assert np.all(position < stop[segment]) and (stop - start).sum() == position.size
    assert np.array_equal(cell[segment], np.where(cell_of_pixel < 0, cells, cell_of_pixel))
    # Tiles follow each other, and within a tile and cell the pixels keep their order.
    tile = np.arange(position.size) // tile_pixels
    assert np.all(np.diff(position[np.lexsort((np.arange(position.size), cell[segment], tile))]) > 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 20_000),
    st.integers(0, 30),
    st.sampled_from([64, 1000, 4096, 65536]),
    st.integers(1, 40),
)
def test_pixels_of_a_cell_stand_together_in_every_tile(
    seed: int, pixels: int, cells: int, tile_pixels: int, threads: int
) -> None:
    cell_of_pixel = random_cells(np.random.default_rng(seed), pixels, cells)
    order = order_pixels(cell_of_pixel, cells, tile_pixels)
    assert_order_is_sound(order, cell_of_pixel, cells, tile_pixels)
    shares = order.shares(threads)
    assert [first for first, _ in shares] == [0, *(last for _, last in shares[:-1])]
    assert shares[-1][1] == order.segment_start.size and len(shares) <= threads
    ranges = [order.positions_of(share) for share in shares]
    assert [begin for begin, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == order.positions and all(begin % BLOCK_POSITIONS == 0 for begin, _ in ranges)
    values = np.arange(order.positions)
    assert np.array_equal(order.to_pixels(values), order.position_of_pixel)


def test_shares_are_about_equal() -> None:
    order = order_pixels(random_cells(np.random.default_rng(1), 200_000, 5), 5, 65536)
    sizes = [end - begin for begin, end in (order.positions_of(share) for share in order.shares(8))]
    assert len(sizes) == 8
    assert max(sizes) - min(sizes) <= 2 * (16384 + LONGEST_SEGMENT)


def random_movie(generator: np.random.Generator, frames: int, pixels: int, top: int) -> np.ndarray:
    """Each frame sparse, with counts up to ``top``."""
    movie = generator.integers(1, top, (frames, pixels), endpoint=True)
    return (movie * (generator.random(movie.shape) < generator.choice([0.0, 0.05, 0.7]))).astype(np.uint32)


def assert_words_are(words: PhotonWords, now: np.ndarray, before: np.ndarray) -> None:
    for found, many, expected in (
        (words.now, words.many_now, photon_words(now, words.order)),
        (words.before, words.many_before, photon_words(before, words.order)),
    ):
        assert np.array_equal(found, expected)
        assert np.array_equal(many, plane_flags(expected))
        assert not expected[words.planes :].any()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.integers(1, 200),
    st.lists(st.sampled_from([1, 2, 3, 7, 200, HIGHEST_COUNT]), min_size=4, max_size=4),
)
def test_words_hold_the_counts_of_the_newest_and_the_last_word(
    seed: int, pixels: int, frames: int, tops: list[int]
) -> None:
    generator = np.random.default_rng(seed)
    order = order_pixels(random_cells(generator, pixels, 3), 3, 128)
    words = PhotonWords(order)
    # Every word has other planes, so that those of the word before the last must have gone.
    parts = [random_movie(generator, WORD_FRAMES, pixels, top) for top in tops]
    movie = np.concatenate(parts)[:frames]
    for piece in pieces(frames):
        put_frames(words, movie, piece)
        first = piece.start // WORD_FRAMES * WORD_FRAMES
        before = movie[max(first - WORD_FRAMES, 0) : first]
        assert_words_are(words, movie[first : piece.stop], before)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.sampled_from([1, 3, HIGHEST_COUNT]))
def test_frames_can_be_taken_out_again(seed: int, bits: int, top: int) -> None:
    generator = np.random.default_rng(seed)
    order = order_pixels(random_cells(generator, 300, 4), 4, 128)
    words = PhotonWords(order)
    movie = random_movie(generator, WORD_FRAMES, 300, top)
    put_frames(words, movie, slice(0, WORD_FRAMES))
    words.forget(bits)
    movie[[(bits >> frame) & 1 == 1 for frame in range(WORD_FRAMES)]] = 0
    expected = photon_words(movie, order)
    assert np.array_equal(words.now, expected)
    assert not np.any(plane_flags(expected) & ~words.many_now)


@pytest.mark.parametrize("empty_words", [1, 2, 3])
def test_words_into_which_nothing_came_are_empty(empty_words: int) -> None:
    order = order_pixels(np.zeros(100, np.int16), 1, 64)
    words = PhotonWords(order)
    pixel, count = events_of(np.full(100, 5, np.uint32))
    put_frame(words, 63, pixel, count)
    for _ in range(empty_words):
        words.turn()
        words.settle()
        assert not words.now.any() and not words.many_now.any()
    assert words.before.any() == (empty_words == 1)
    assert words.planes == (3 if empty_words == 1 else 1)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.sampled_from([0, 1, 2, 3, 4, 31, 63]),
    st.integers(0, 64),
)
def test_lists_of_photons_hold_what_words_hold(seed: int, pixels: int, top: int, cut: int) -> None:
    """Listed in two parts, with frames taken out, and then frames written into the words that the list becomes."""
    generator = np.random.default_rng(seed)
    order = order_pixels(random_cells(generator, pixels, 3), 3, 128)
    words = PhotonWords(order)
    words.turn()
    movie = random_movie(generator, WORD_FRAMES, pixels, max(top, 1))
    movie[60:] = 0
    movie[:, generator.random(pixels) < 0.5] = 0
    movie *= top > 0
    words.list_photons(photon_list(movie[:cut], order))
    words.list_photons(photon_list(movie[cut:], order, cut))
    assert words.photons_now is not None and np.array_equal(words.photons_now, photon_list(movie, order))
    assert words.planes == max(1, int(movie.max()).bit_length())
    taken = int(generator.integers(0, 2**60))
    words.forget(taken)
    movie[[(taken >> frame) & 1 == 1 for frame in range(WORD_FRAMES)]] = 0
    assert np.array_equal(words.now, photon_words(movie, order))
    assert np.array_equal(words.photons_now, photon_list(movie, order))
    movie[63] = 1
    put_frame(words, 63, *events_of(movie[63]))
    assert words.photons_now is None
    expected = photon_words(movie, order)
    assert np.array_equal(words.now, expected)
    assert not np.any(plane_flags(expected) & ~words.many_now)
    words.turn()
    assert np.array_equal(words.before, expected) and not words.now.any() and not words.many_now.any()
