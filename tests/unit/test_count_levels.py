"""Samples of the higher multi-tau levels: sums of frames as bit planes, their products, and numbers that grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import cell_sums, photon_list
from word_movies import put_frames

from backend.correlation import count_kernels as kernels
from backend.correlation.count_kernels import BLOCK_WORDS, MOST_PLANES, Samples
from backend.correlation.count_levels import CountLevel, CountLevels
from backend.photon_word_kernels import BLOCK_POSITIONS
from backend.photon_words import PhotonWords
from backend.pixel_order import PixelOrder, order_pixels
from backend.sorted_photons import LISTED_PLANES

CELLS = 5
MOST_LISTED = (1 << LISTED_PLANES) - 1


def random_order(
    generator: np.random.Generator, pixels: int, tile_pixels: int
) -> tuple[PixelOrder, np.ndarray]:
    cell_of_pixel = generator.integers(-1, CELLS, pixels).astype(np.int16)
    return order_pixels(cell_of_pixel, CELLS, tile_pixels), cell_of_pixel


def random_movie(generator: np.random.Generator, frames: int, pixels: int, top: int) -> np.ndarray:
    movie = generator.integers(0, top, (frames, pixels), endpoint=True)
    movie[generator.random(movie.shape) < generator.choice([0.0, 0.5, 0.99])] = 0
    return movie.astype(np.uint32)


def new_samples(slots: int, planes: int, blocks: int) -> Samples:
    """Planes full of what nobody may read."""
    bits = np.full((planes, slots, blocks, BLOCK_WORDS), 0xA5A5A5A5A5A5A5A5, np.uint64)
    return Samples(bits, np.zeros((slots, blocks), np.uint8))


def numbers_of(samples: Samples, slot: int) -> np.ndarray:
    """The numbers of a sample, shape (position,), int64: position 8 i + w of a block is bit i of word w."""
    planes, _, blocks, _ = samples.bits.shape
    numbers = np.zeros((blocks, 64, BLOCK_WORDS), np.int64)
    for plane in range(planes):
        used = samples.planes[slot] > plane
        bits = samples.bits[plane, slot][:, None, :] >> np.arange(64, dtype=np.uint64)[:, None] & np.uint64(1)
        numbers += np.where(used[:, None, None], bits.astype(np.int64) << plane, 0)
    return numbers.reshape(-1)


def put_numbers(samples: Samples, slot: int, numbers: np.ndarray) -> None:
    """Write the numbers of a sample, shape (position,)."""
    blocks = numbers.reshape(-1, 64, BLOCK_WORDS)
    for block, values in enumerate(blocks):
        samples.planes[slot, block] = int(values.max()).bit_length()
        for plane in range(samples.planes[slot, block]):
            bits = (values >> plane & 1).astype(np.uint64) << np.arange(64, dtype=np.uint64)[:, None]
            samples.bits[plane, slot, block] = np.bitwise_or.reduce(bits, axis=0)


def block_planes(numbers: np.ndarray) -> int:
    return int(numbers.max(initial=0)).bit_length()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 100, 3000]),
    st.sampled_from([64, 1000, 65536]),
    st.sampled_from([1, 3, 200, 65535]),
    st.sampled_from([1, 2, 4, 8, 16, 32, 64]),
    st.integers(1, 22),
    st.booleans(),
)
def test_samples_of_words_and_of_listed_photons(
    seed: int, pixels: int, tile_pixels: int, top: int, width: int, room: int, listed: bool
) -> None:
    """Some neighbouring samples of some blocks; nothing is written that does not fit, or elsewhere."""
    generator = np.random.default_rng(seed)
    order, _ = random_order(generator, pixels, tile_pixels)
    movie = random_movie(generator, 64, pixels, min(top, MOST_LISTED) if listed else top)
    words = PhotonWords(order)
    put_frames(words, movie, slice(0, 64))
    begin = generator.integers(64 // width)
    slots = generator.permutation(64)[: generator.integers(1, 64 // width - begin, endpoint=True)]
    blocks = order.positions // BLOCK_POSITIONS
    chosen = sorted(generator.integers(0, blocks, 2, endpoint=True).tolist())
    samples = new_samples(64, room, blocks)
    source = words.now, words.many_now, words.planes
    some = tuple(chosen), (begin * width, width), slots, samples
    if listed:
        needed = kernels.samples_of_photons(some[0], photon_list(movie, order), *some[1:])
    else:
        needed = kernels.samples_of_words(some[0], *source, *some[1:])
    most = 0
    for index, slot in enumerate(slots.tolist()):
        expected = np.zeros(order.positions, np.int64)
        frames = slice((begin + index) * width, (begin + index + 1) * width)
        expected[order.position_of_pixel] = movie[frames].astype(np.int64).sum(axis=0)
        found = numbers_of(samples, slot).reshape(blocks, -1)
        for block, values in enumerate(expected.reshape(blocks, -1)):
            here = chosen[0] <= block < chosen[1]
            most = max(most, block_planes(values) if here else 0)
            if here and block_planes(values) <= room:
                assert np.array_equal(found[block], values)
            else:
                assert not found[block].any()
    assert needed == most
    assert not samples.planes[np.setdiff1d(np.arange(64), slots)].any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 31), st.integers(1, 33))
def test_sums_of_two_samples(seed: int, first_bits: int, second_bits: int, room: int) -> None:
    generator = np.random.default_rng(seed)
    positions = 3 * BLOCK_POSITIONS
    below, level = new_samples(5, 32, 3), new_samples(4, room, 3)
    both = [
        generator.integers(0, 2**bits, positions) >> generator.integers(0, 3)
        for bits in (first_bits, second_bits)
    ]
    for slot, numbers in zip((1, 2), both, strict=True):
        put_numbers(below, slot, numbers)
    # Sample 3 is the sum of samples 6 and 7 of five that are kept.
    needed = kernels.sums_of_two((0, 3), below, level, 3, 4)
    total = both[0] + both[1]
    if block_planes(total) <= room:
        assert needed == block_planes(total)
    else:
        # What does not fit is not added up to the end.
        assert room < needed <= block_planes(total)
    for block in range(3):
        here = slice(block * BLOCK_POSITIONS, (block + 1) * BLOCK_POSITIONS)
        if block_planes(total[here]) <= room:
            assert np.array_equal(numbers_of(level, 3)[here], total[here])
        else:
            assert level.planes[3, block] == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 100, 9000]),
    st.sampled_from([64, 1000, 65536]),
    st.integers(0, 24),
    st.sets(st.integers(1, 9), min_size=1, max_size=4),
)
def test_products_of_samples(seed: int, pixels: int, tile_pixels: int, bits: int, chosen: set[int]) -> None:
    """Of two new samples with earlier ones, as far as there are any."""
    generator = np.random.default_rng(seed)
    order, cell_of_pixel = random_order(generator, pixels, tile_pixels)
    counts = generator.integers(0, 2**bits, (8, pixels)) >> generator.integers(0, bits + 1, pixels)
    samples = new_samples(11, 25, order.positions // BLOCK_POSITIONS)
    for index in range(8):
        numbers = np.zeros(order.positions, np.int64)
        numbers[order.position_of_pixel] = counts[index]
        put_numbers(samples, index, numbers)
    lags = np.array(sorted(chosen))
    sums = np.full((lags.size, CELLS), 10)
    for share in order.shares(3):
        kernels.add_products(share, order.segments, samples, 6, 8, lags, sums)
    expected = np.full((lags.size, pixels), 0)
    for row, lag in enumerate(lags.tolist()):
        for index in (6, 7):
            if lag <= index:
                expected[row] += counts[index] * counts[index - lag]
    assert np.array_equal(sums, cell_sums(expected, cell_of_pixel, CELLS)[:, :CELLS] + 10)


def test_a_number_that_fits_nowhere_is_an_error_in_words() -> None:
    order, _ = random_order(np.random.default_rng(1), 10, 64)
    level = CountLevel(order, np.array([1]), 1)
    level.make_room(MOST_PLANES)
    assert level.room == MOST_PLANES
    with pytest.raises(OverflowError, match="4294967296 photons"):
        level.make_room(MOST_PLANES + 1)


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
    st.sampled_from([2, 4, 16, 32, 64]),
    st.sets(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 5),
)
def test_levels_equal_numpy_while_numbers_grow(
    seed: int, pixels: int, tops: list[int], width: int, chosen_lags: set[int], shares: int
) -> None:
    """Words with ever other counts, added in two pieces; each level has sums of two of the one below."""
    generator = np.random.default_rng(seed)
    order, cell_of_pixel = random_order(generator, pixels, 256)
    lags = np.array(sorted(chosen_lags))
    levels = CountLevels(order, lags, width)
    words = PhotonWords(order)
    whole = np.empty((0, pixels), np.int64)
    for top in tops:
        movie = random_movie(generator, 64, pixels, top)
        put_frames(words, movie, slice(0, 64))
        cut = int(generator.integers(65))
        for first, last in ((0, cut), (cut, 64)):
            work = levels.begin(words, first, last)
            while not levels.take([work(share) for share in order.shares(shares)]):
                pass
        words.turn()
        whole = np.concatenate([whole, movie.astype(np.int64)])
        twin = TwinLevel(lags, cell_of_pixel)
        twin.samples = whole.reshape(-1, width, pixels).sum(axis=1)
        for made in levels.levels:
            assert made.filled == len(twin.samples)
            assert np.array_equal(made.products, twin.products())
            twin.samples = twin.samples[: len(twin.samples) // 2 * 2].reshape(-1, 2, pixels).sum(axis=1)
        assert len(twin.samples) == 0
