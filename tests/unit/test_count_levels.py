"""Samples of the higher multi-tau levels: sums of frames, their products, and counts that widen in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import cell_sums
from word_movies import put_frames

from backend.correlation import count_kernels as kernels
from backend.correlation.count_levels import WIDTHS, CountLevel, upper_bound, width_for
from backend.photon_words import PhotonWords
from backend.pixel_order import PixelOrder, order_pixels

CELLS = 5


def random_order(
    generator: np.random.Generator, pixels: int, tile_pixels: int
) -> tuple[PixelOrder, np.ndarray]:
    cell_of_pixel = generator.integers(-1, CELLS, pixels).astype(np.int16)
    return order_pixels(cell_of_pixel, CELLS, tile_pixels), cell_of_pixel


def random_movie(generator: np.random.Generator, frames: int, pixels: int, top: int) -> np.ndarray:
    movie = generator.integers(0, top, (frames, pixels), endpoint=True)
    movie[generator.random(movie.shape) < generator.choice([0.0, 0.5, 0.99])] = 0
    return movie.astype(np.uint32)


@pytest.mark.parametrize(
    ("highest", "width"),
    [
        (0, np.uint8),
        (255, np.uint8),
        (256, np.uint16),
        (65535, np.uint16),
        (65536, np.uint32),
        (2**32 - 1, np.uint32),
    ],
)
def test_the_smallest_width_that_holds_a_count(highest: int, width: type) -> None:
    assert width_for(highest) is width


def test_a_count_that_fits_nowhere_is_an_error_in_words() -> None:
    with pytest.raises(OverflowError, match="4294967296 photons"):
        width_for(2**32)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(WIDTHS), st.integers(0, 40), st.integers(0, 32))
def test_the_upper_bound_is_above_all_and_less_than_twice_the_highest(
    seed: int, width: type, sixteens: int, bits: int
) -> None:
    top = min(2**bits - 1, int(np.iinfo(width).max))
    sample = np.random.default_rng(seed).integers(0, top, 16 * sixteens, width, endpoint=True)
    bound, highest = upper_bound(sample), int(sample.max(initial=0))
    assert highest <= bound <= max(2 * highest - 1, highest)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 100, 3000, 9000]),
    st.sampled_from([64, 1000, 65536]),
    st.sampled_from([1, 3, 200, 65535]),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
)
def test_samples_of_words(seed: int, pixels: int, tile_pixels: int, top: int, masks: list[int]) -> None:
    generator = np.random.default_rng(seed)
    order, _ = random_order(generator, pixels, tile_pixels)
    movie = random_movie(generator, 8, pixels, top)
    words = PhotonWords(order)
    put_frames(words, movie, slice(0, 8))
    samples = np.full((6, order.positions), 3, np.uint32)
    slots = generator.permutation(6)[: len(masks)]
    first, last = order.positions_of(order.shares(3)[-1])
    arguments = (words.now, words.many_now, words.planes, np.array(masks, np.uint64), samples, slots)
    kernels.samples_of_words(first, last, *arguments)
    for slot, mask in zip(slots, masks, strict=True):
        expected = np.zeros(order.positions, np.int64)
        chosen = [bool((mask >> frame) & 1) for frame in range(8)]
        expected[order.position_of_pixel] = movie[chosen].sum(axis=0)
        assert np.array_equal(samples[slot, first:last], expected[first:last])
        assert np.all(samples[slot, :first] == 3) and np.all(samples[slot, last:] == 3)
    untouched = np.setdiff1d(np.arange(6), slots)
    assert np.all(samples[untouched] == 3)


@pytest.mark.parametrize("below", WIDTHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_of_two_samples(below: type, width: type) -> None:
    top = min(int(np.iinfo(width).max), 2 * int(np.iinfo(below).max)) // 2
    first, second = np.random.default_rng(1).integers(0, top, (2, 1000), below, endpoint=True)
    total = np.zeros(1000, width)
    kernels.add_samples(first, second, total)
    assert np.array_equal(total, first.astype(np.int64) + second)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 100, 9000]),
    st.sampled_from([64, 1000, 65536]),
    st.sampled_from(WIDTHS),
    st.integers(0, 4),
)
def test_products_of_samples(seed: int, pixels: int, tile_pixels: int, width: type, lags: int) -> None:
    generator = np.random.default_rng(seed)
    order, cell_of_pixel = random_order(generator, pixels, tile_pixels)
    # The largest counts of which a product fits into 31 bits, or the largest there are.
    top = min(int(np.iinfo(width).max), 2**24)
    counts = generator.integers(0, top, (6, pixels), endpoint=True)
    samples = np.zeros((6, order.positions), width)
    samples[:, order.position_of_pixel] = counts
    multiply = kernels.add_byte_products if width is np.uint8 else kernels.add_count_products
    earlier = generator.permutation(5)[:lags]
    sums = np.full((lags, CELLS), 10)
    for share in order.shares(3):
        multiply(*share, order.segments, samples, 5, earlier, sums)
    expected = cell_sums(counts[earlier] * counts[5], cell_of_pixel, CELLS)[:, :CELLS] + 10
    assert np.array_equal(sums, expected)


class TwinLevel:
    """Samples of a level kept for ever as plain integers."""

    def __init__(self, lags: np.ndarray, cell_of_pixel: np.ndarray) -> None:
        self._lags, self._cell_of_pixel = lags, cell_of_pixel
        self.samples = np.empty((0, cell_of_pixel.size), np.int64)

    def products(self) -> np.ndarray:
        rows = [
            (self.samples[lag:] * self.samples[: max(len(self.samples) - lag, 0)]).sum(axis=0)
            for lag in self._lags
        ]
        return cell_sums(np.array(rows), self._cell_of_pixel, CELLS)[:, :CELLS]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 900),
    st.lists(st.sampled_from([0, 1, 3, 15, 16, 255, 4000, 65535]), min_size=1, max_size=6),
    st.sampled_from([2, 4, 16, 32]),
    st.sets(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 5),
)
def test_levels_equal_numpy_while_they_widen(
    seed: int, pixels: int, tops: list[int], width: int, chosen_lags: set[int], shares: int
) -> None:
    """Words with ever other counts; a second level of sums of two stands on the first."""
    generator = np.random.default_rng(seed)
    order, cell_of_pixel = random_order(generator, pixels, 256)
    lags = np.array(sorted(chosen_lags))
    per_word = 64 // width
    level, above = (CountLevel(order, lags, CELLS, per_word) for _ in range(2))
    twin, twin_above = TwinLevel(lags, cell_of_pixel), TwinLevel(lags, cell_of_pixel)
    words = PhotonWords(order)
    masks = np.array([((1 << width) - 1) << (width * group) for group in range(per_word)], np.uint64)
    for top in tops:
        movie = random_movie(generator, 64, pixels, top)
        put_frames(words, movie, slice(0, 64))
        level.make_room(width * ((1 << words.planes) - 1))
        level.take(per_word, [level.add_words(words, masks, share) for share in order.shares(shares)])
        new = movie.astype(np.int64).reshape(per_word, width, pixels).sum(axis=1)
        twin.samples = np.concatenate([twin.samples, new])
        complete = level.filled // 2 - above.filled
        above.make_room(2 * level.highest)
        above.take(complete, [above.add_sums(level, complete, share) for share in order.shares(shares)])
        twin_above.samples = twin.samples[: 2 * above.filled].reshape(above.filled, 2, pixels).sum(axis=1)
        words.turn()
        for made, plain in ((level, twin), (above, twin_above)):
            assert made.filled == len(plain.samples)
            assert np.array_equal(made.products, plain.products())
            assert made.highest >= plain.samples.max(initial=0)
            if made.filled:
                newest = made.sample(made.filled - 1)[order.position_of_pixel]
                assert np.array_equal(newest, plain.samples[-1])
