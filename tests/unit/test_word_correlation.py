"""The walk over photon words adds up what numpy adds up from the frames of two words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import cell_sums, lagged_products, occurrences, photon_list, ring_cells
from word_movies import order_of, put_frames, random_counts, random_partition

from backend.correlation.photon_correlation import correlate_photons
from backend.correlation.run_products import VALUES, Image, Lags, Sums, new_room, new_sums
from backend.correlation.word_correlation import correlate_words
from backend.correlation.word_products import in_frame_order
from backend.photon_events import RingPartition
from backend.photon_words import PhotonWords
from backend.sorted_photons import LISTED_PLANES

MOST_LISTED = (1 << LISTED_PLANES) - 1


def mask(first: int, last: int) -> int:
    return sum(1 << frame for frame in range(first, last))


def lags_of(
    partition: RingPartition,
    frame_lags: list[int],
    level_lags: list[int],
    kept: tuple[int, ...],
    masks: list[int],
    parts: list[int] | None = None,
) -> Lags:
    rows = [kept.index(lag) if lag in kept else -1 for lag in frame_lags]
    ring_of_cell = np.arange(partition.rings * partition.sectors) // partition.sectors
    of_frames, of_levels, kept_rows = np.array(frame_lags), np.array(level_lags), np.array(rows)
    of_level, of_part = np.array(masks, np.uint64), np.array(parts or masks[:1], np.uint64)
    within = kept.index(0) if 0 in kept else -1
    return Lags(of_frames, of_levels, kept_rows, within, of_level, of_part, ring_of_cell)


def correlate(
    movie: np.ndarray,
    partition: RingPartition,
    lags: Lags,
    kept: int,
    tile_pixels: int,
    shares: int,
    *,
    listed: bool = False,
) -> tuple[Sums, np.ndarray]:
    """Sums over ranges of segments, and the image; the first 64 frames are the word before.

    ``listed``: from sorted photons instead of words.
    """
    order = order_of(partition, tile_pixels)
    words = PhotonWords(order)
    put_frames(words, movie, slice(0, len(movie)))
    if len(movie) == 64:
        words.turn()
        words.settle()
    fine_of_position = np.full(order.positions, partition.fine_rings, np.int16)
    fine_of_position[order.position_of_pixel] = np.where(
        partition.fine_of_pixel < 0, partition.fine_rings, partition.fine_of_pixel
    )
    image = Image(np.zeros(order.positions, np.uint32), fine_of_position)
    sums = new_sums(lags.masks.size, lags, kept, partition.fine_rings)
    room = new_room()
    many = (words.many_now, words.many_before)
    source = words.now, words.before, many, words.planes
    for share in order.shares(shares):
        if listed:
            photons = photon_list(movie[64:], order), photon_list(movie[:64], order)
            correlate_photons(*share, order.segments, *photons, lags, room, image, sums)
        else:
            correlate_words(*share, order.segments, *source, lags, room, image, sums)
    return sums, order.to_pixels(image.counts)


def twin_products(movie: np.ndarray, partition: RingPartition, lags: Lags) -> np.ndarray:
    """Products of sums of 2^level frames, of the sums in the second word that the masks choose."""
    cells = lags.ring_of_cell.size
    products = np.zeros((lags.masks.size, max(lags.of_frames.size, lags.of_levels.size), cells), np.int64)
    counts = movie.astype(np.int64)
    for level, chosen in enumerate(lags.masks.tolist()):
        sums = counts.reshape(128 >> level, 1 << level, -1).sum(axis=1)
        for column, lag in enumerate(lags.of_levels if level else lags.of_frames):
            for sample in range(64 >> level, 128 >> level):
                if (chosen >> ((sample << level) - 64)) & 1:
                    product = sums[sample] * sums[sample - lag]
                    products[level, column] += cell_sums(product, partition.cell_of_pixel, cells)[:-1]
    return products


def assert_sums_are_those_of_numpy(
    made: tuple[Sums, np.ndarray],
    movie: np.ndarray,
    partition: RingPartition,
    lags: Lags,
    kept: tuple[int, ...],
    new: slice,
) -> None:
    """``movie`` has 128 frames, ``new`` are those of the second word that are added."""
    found, image = made
    cells = lags.ring_of_cell.size
    here = slice(64 + new.start, 64 + new.stop)
    added = np.zeros(movie.shape, np.int64)
    added[here] = movie[here]
    assert np.array_equal(found.products, twin_products(movie, partition, lags))
    counts = cell_sums(added, partition.cell_of_pixel, cells)
    assert np.array_equal(in_frame_order(found.counts), counts[64:].T)
    squares = cell_sums((added**2).sum(axis=0), partition.cell_of_pixel, cells)
    assert np.array_equal(found.squares, squares[:-1])
    products = lagged_products(movie, partition, kept)[64:]
    for part, chosen in enumerate(lags.parts.tolist()):
        frames = [frame for frame in range(64) if chosen >> frame & 1]
        assert np.array_equal(found.cell_products[:, :, part], products[frames].sum(axis=0).T)
    seen = occurrences(movie[here], partition, VALUES)
    assert np.array_equal(found.occurrences[:, 1:], seen[:, 1:])
    assert np.array_equal(image, added.sum(axis=0))
    fine = np.where(partition.fine_of_pixel < 0, partition.fine_rings, partition.fine_of_pixel)
    of_fine = np.zeros(partition.fine_rings + 1, np.int64)
    np.add.at(of_fine, fine, added.sum(axis=0))
    assert np.array_equal(found.fine.sum(axis=1), of_fine)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    pixels=st.sampled_from([1, 30, 700, 2500]),
    rings=st.integers(1, 4),
    sectors=st.integers(1, 4),
    mean=st.sampled_from([0.0, 0.003, 0.05, 1.0, 20.0, 30_000.0]),
    levels=st.integers(1, 4),
    lags_per_level=st.integers(1, 64),
    frame_lags=st.sets(st.integers(1, 64), min_size=1, max_size=5),
    kept=st.lists(st.integers(0, 64), unique=True, max_size=3),
    ends=st.tuples(st.integers(0, 64), st.integers(0, 64), st.integers(0, 64)),
    tile_pixels=st.sampled_from([64, 1000, 65536]),
    shares=st.integers(1, 5),
    listed=st.booleans(),
)
def test_all_sums_equal_numpy(
    seed: int,
    pixels: int,
    rings: int,
    sectors: int,
    mean: float,
    levels: int,
    lags_per_level: int,
    frame_lags: set[int],
    kept: list[int],
    ends: tuple[int, int, int],
    tile_pixels: int,
    shares: int,
    listed: bool,
) -> None:
    generator = np.random.default_rng(seed)
    partition = random_partition(generator, (1, pixels), rings, sectors)
    first, middle, last = sorted(ends)
    movie = random_counts(generator, 128, pixels, mean)
    movie[:, generator.random(pixels) < 0.3] = 0
    movie[64 + last :] = 0
    if listed:
        movie = np.minimum(movie, MOST_LISTED)
    # A lag of a level must not reach back further than the word before.
    level_lags = sorted({max(1, min(lags_per_level, 64 >> (levels - 1)) - less) for less in range(3)})
    masks = [mask(first >> level << level, last >> level << level) for level in range(levels)]
    parts = [mask(first, middle), mask(middle, last)]
    lags = lags_of(partition, sorted((frame_lags | set(kept)) - {0}), level_lags, tuple(kept), masks, parts)
    found = correlate(movie[: 64 + last], partition, lags, len(kept), tile_pixels, shares, listed=listed)
    assert_sums_are_those_of_numpy(found, movie, partition, lags, tuple(kept), slice(first, last))


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("mean", [0.002, 0.02, 2.0])
def test_runs_of_all_lengths_in_long_segments(mean: float, listed: bool) -> None:
    """Cells with more active pixels than a run or a segment holds, and rests of every length."""
    generator = np.random.default_rng(3)
    partition = random_partition(generator, (100, 130), 2, 1)
    movie = random_counts(generator, 128, 13_000, mean)
    lags = lags_of(partition, [1, 64], [4, 8], (64,), [mask(0, 64)] * 4)
    found = correlate(movie, partition, lags, 1, 65536, 2, listed=listed)
    assert_sums_are_those_of_numpy(found, movie, partition, lags, (64,), slice(0, 64))


@pytest.mark.parametrize("active", [1, 47, 48, 49, 223, 224, 225, 448, 449, 896, 897, 4096, 4097])
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("listed", [False, True])
def test_no_active_pixel_is_lost_or_counted_twice(active: int, count: int, listed: bool) -> None:
    generator = np.random.default_rng(active)
    partition = random_partition(generator, (1, 5000), 1, 1)
    movie = np.zeros((128, 5000), np.uint32)
    inside = np.flatnonzero(ring_cells(partition) == 0)
    chosen = np.concatenate([inside, np.flatnonzero(ring_cells(partition) < 0)])[:active]
    movie[::7, chosen] = count
    lags = lags_of(partition, [7], [7], (), [mask(0, 64)])
    found = correlate(movie, partition, lags, 0, 65536, 1, listed=listed)
    assert_sums_are_those_of_numpy(found, movie, partition, lags, (), slice(0, 64))


def test_the_largest_counts_do_not_overflow() -> None:
    partition = random_partition(np.random.default_rng(1), (1, 1000), 1, 2)
    movie = np.full((128, 1000), 65535, np.uint32)
    lags = lags_of(partition, [1], [8], (), [mask(0, 64)] * 4)
    found = correlate(movie, partition, lags, 0, 65536, 1)
    assert_sums_are_those_of_numpy(found, movie, partition, lags, (), slice(0, 64))
