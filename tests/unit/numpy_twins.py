"""Slow, plain numpy versions of the kernels: what the fast ones must equal."""

from __future__ import annotations

import struct

import numpy as np

from backend.photon_events import RingPartition
from backend.photon_words import PLANES
from backend.pixel_order import PixelOrder


def lz4_literals(data: bytes) -> bytes:
    """``data`` as one LZ4 sequence without any back reference."""
    length = len(data)
    head = bytes([min(length, 15) << 4])
    if length >= 15:
        rest = length - 15
        head += b"\xff" * (rest // 255) + bytes([rest % 255])
    return head + data


def bit_planes(block: np.ndarray) -> bytes:
    """Bit planes of a block of 8 n pixels, least significant first, each packed little-endian."""
    bits = np.unpackbits(block.view(np.uint8).reshape(block.size, -1), axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little").tobytes()


def literal_chunk(frame: np.ndarray, block_pixels: int, block_field: int | None = None) -> bytes:
    """Bitshuffle-LZ4 chunk of a frame with blocks of any size; ``block_field`` overrides the header's entry."""
    flat = np.ascontiguousarray(frame).ravel()
    field = block_pixels * flat.itemsize if block_field is None else block_field
    parts = [struct.pack(">QI", flat.nbytes, field)]
    first = 0
    while flat.size - first >= 8:
        size = min(block_pixels, (flat.size - first) // 8 * 8)
        data = lz4_literals(bit_planes(flat[first : first + size]))
        parts += [struct.pack(">I", len(data)), data]
        first += size
    return b"".join([*parts, flat[first:].tobytes()])


def photon_words(counts: np.ndarray, order: PixelOrder, first_bit: int = 0) -> np.ndarray:
    """Words, shape (PLANES, position), uint64, of frames, shape (frame, pixel), that stand from ``first_bit`` on."""
    words = np.zeros((PLANES, order.positions), np.uint64)
    bit = np.arange(first_bit, first_bit + len(counts), dtype=np.uint64)[:, None]
    for plane in range(PLANES):
        bits = (counts.astype(np.uint64) >> np.uint64(plane)) & np.uint64(1)
        words[plane, order.position_of_pixel] = np.bitwise_or.reduce(bits << bit, axis=0)
    return words


def photon_list(counts: np.ndarray, order: PixelOrder, first_bit: int = 0) -> np.ndarray:
    """Frames, shape (frame, pixel), that stand from ``first_bit`` on, as a sorted list of photons, uint32."""
    frame, pixel = np.nonzero(counts)
    photon = order.position_of_pixel[pixel].astype(np.int64) * 64 + frame + first_bit
    return np.sort(np.repeat(photon, counts[frame, pixel])).astype(np.uint32)


def plane_flags(words: np.ndarray) -> np.ndarray:
    """Bit k tells that plane k of a position has something, bit 7 that any from 7 on; shape (position,), uint8."""
    flags = np.zeros(words.shape[1], np.uint8)
    for plane in range(1, PLANES):
        flags |= (words[plane] != 0).astype(np.uint8) << min(plane, 7)
    return flags


def frames_of_words(words: np.ndarray) -> np.ndarray:
    """Bits of words, shape (..., word), as 0 and 1: shape (..., word, 64), int64."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")
    return bits.reshape(*words.shape, 64).astype(np.int64)


def cell_sums(values: np.ndarray, cell_of_pixel: np.ndarray, cells: int) -> np.ndarray:
    """Sums over the pixels (last axis) of each cell and, as the last, of the pixels in none; shape (..., cell + 1)."""
    group = np.where(cell_of_pixel < 0, cells, cell_of_pixel)
    return np.stack([values[..., group == cell].sum(axis=-1) for cell in range(cells + 1)], axis=-1)


def ring_cells(partition: RingPartition) -> np.ndarray:
    """Ring of each pixel, -1 for none."""
    return np.where(partition.cell_of_pixel >= 0, partition.cell_of_pixel // partition.sectors, -1)


def lagged_products(movie: np.ndarray, partition: RingPartition, lags: tuple[int, ...]) -> np.ndarray:
    """Sum over pixels of I(t) I(t - lag), zero before the first frame; shape (frame, cell, lag), int64.

    At lag 0 of I(t) (I(t) - 1).
    """
    cells = partition.rings * partition.sectors
    products = np.zeros((len(movie), cells, len(lags)), np.int64)
    counts = movie.astype(np.int64)
    for column, lag in enumerate(lags):
        factors = counts[:-lag] if lag else counts - 1
        found = cell_sums(counts[lag:] * factors, partition.cell_of_pixel, cells)
        products[lag:, :, column] = found[:, :-1]
    return products


def occurrences(movie: np.ndarray, partition: RingPartition, values: int) -> np.ndarray:
    """How often a pixel of each ring had 0, 1, 2 ... photons in a frame, the last value and more together."""
    found = np.minimum(movie, values - 1)
    rings = ring_cells(partition)
    counts = [
        [np.count_nonzero(found[:, rings == r] == n) for n in range(values)] for r in range(partition.rings)
    ]
    return np.array(counts)


def multitau_sums(
    movie: np.ndarray, cell_of_pixel: np.ndarray, cells: int, lags_per_level: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lags, products and normalisers of a whole movie, shape (frame, pixel): (lag, cell) of exact integers.

    Lag 0 has n (n - 1) for products and normalisers; sums of cells are Python integers, which do not overflow.
    """
    level = movie.astype(np.int64)
    sums = cell_sums(level, cell_of_pixel, cells)[:, :-1].astype(object)
    lags = [0]
    products = [cell_sums(level * (level - 1), cell_of_pixel, cells)[:, :-1].sum(axis=0)]
    normalisers = [(sums * (sums - 1)).sum(axis=0)]
    first, unit = 1, 1
    while len(level) > first:
        for lag in range(first, min(lags_per_level, len(level) - 1) + 1):
            lags.append(lag * unit)
            products.append(cell_sums(level[:-lag] * level[lag:], cell_of_pixel, cells)[:, :-1].sum(axis=0))
            normalisers.append((sums[:-lag] * sums[lag:]).sum(axis=0))
        pairs = len(level) // 2
        level = level[: 2 * pairs].reshape(pairs, 2, -1).sum(axis=1)
        sums = sums[: 2 * pairs].reshape(pairs, 2, -1).sum(axis=1)
        unit *= 2
        first = lags_per_level // 2 + 1
    return np.array(lags), np.array(products), np.array(normalisers)


def two_time(movie: np.ndarray, pixels: np.ndarray, frames_per_bin: int) -> np.ndarray:
    """Two-time map of the chosen pixels of a movie, shape (frame, pixel); diagonal and dark bins nan."""
    bins = len(movie) // frames_per_bin
    binned = movie[: bins * frames_per_bin, pixels].astype(np.float64)
    binned = binned.reshape(bins, frames_per_bin, pixels.size).sum(axis=1)
    sums = binned.sum(axis=1)
    values = np.full((bins, bins), np.nan)
    for i in range(bins):
        for j in range(bins):
            if i != j and sums[i] * sums[j] > 0:
                values[i, j] = binned.shape[1] * (binned[i] @ binned[j]) / (sums[i] * sums[j])
    return values
