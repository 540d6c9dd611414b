"""A series in which photons are few, then many, then few again: how they are held changes, the sums do not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filter_chunks import filter_chunks
from word_movies import correlate, order_of, pieces, random_partition

from backend.correlation.multitau import MultiTau
from backend.detector.word_decoder import WordDecoder
from backend.frames import FrameBatch
from backend.photon_words import WORD_FRAMES, PhotonWords

SHAPE_YX = (80, 256)
TILE_PIXELS = 8192
# Photons per pixel of each word, and whether it is a list in the end.
WORDS = [
    (0.0005, False),
    (0.001, True),
    (0.001, True),
    (0.05, False),
    (0.05, False),
    (0.001, False),
    (0.002, True),
]


def sparse_movie() -> np.ndarray:
    generator = np.random.default_rng(11)
    means = np.repeat([mean for mean, _ in WORDS], WORD_FRAMES)[:, None, None]
    # Slow light and dark, so that there are products; some pixels much brighter than their neighbours.
    light = 1 + np.sin(np.arange(means.size) / 9)[:, None, None]
    bright = np.where(generator.random(SHAPE_YX) < 0.01, 40.0, 1.0)
    return generator.poisson(means * light * bright).astype(np.uint32)


def batch_of(chunks: list[bytes], piece: slice) -> FrameBatch:
    numbers = np.arange(piece.start, piece.stop, dtype=np.int64)
    return FrameBatch("a", numbers, tuple(chunks[piece]), "bslz4", np.dtype(np.uint32), SHAPE_YX, "a.h5")


@pytest.mark.parametrize("longest", [(64,), (17,), (1, 40)])
@pytest.mark.parametrize("threads", [0, 2])
def test_sums_do_not_depend_on_how_photons_are_held(longest: tuple[int, ...], threads: int) -> None:
    movie = sparse_movie()
    partition = random_partition(np.random.default_rng(2), SHAPE_YX, 3, 4)
    flat = movie.reshape(len(movie), -1)
    expected = correlate(flat, partition, kept_lags=(0, 1, 20), tile_pixels=TILE_PIXELS)
    order = order_of(partition, TILE_PIXELS)
    chunks = filter_chunks(movie, 2048)
    words = PhotonWords(order)
    with ThreadPoolExecutor(max(threads, 1)) as executor:
        pool = executor if threads else None
        decoder = WordDecoder(np.ones(SHAPE_YX, bool), order, np.dtype(np.uint32), None, pool)
        multitau = MultiTau(partition, order, kept_lags=(0, 1, 20), pool=pool)
        for piece in pieces(len(movie), longest):
            if piece.start and piece.start % WORD_FRAMES == 0:
                words.turn()
            decoder.decode(batch_of(chunks, piece), piece.start % WORD_FRAMES, words)
            multitau.add(words, piece.stop - piece.start)
            if piece.stop % WORD_FRAMES == 0:
                assert (words.photons_now is not None) == WORDS[piece.start // WORD_FRAMES][1]
    for found, wanted in zip(multitau.sums(), expected.sums(), strict=True):
        assert np.array_equal(found, wanted)
    assert np.array_equal(multitau.occurrences, expected.occurrences)
    for found, wanted in zip(multitau.contrast(), expected.contrast(), strict=True):
        assert np.array_equal(found, wanted, equal_nan=True)
