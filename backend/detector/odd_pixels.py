"""Pixels that count far more than their fine ring allows, or nothing at all: hot and dead ones.

How widely the sums of good pixels of one fine ring scatter is measured on the ring itself: variance = m + b m^2 for the
mean m. The excess b holds what is left of the speckle contrast and the slope of I(q) across the fine ring. Of all
light with this excess the widest tail belongs to one mode with the share w = sqrt(b) of the intensity (Bose-Einstein)
on a steady rest (Poisson):

    P(n > limit) <= p   for   limit = Poisson quantile of (1 - w) m at p / 2 + Bose-Einstein quantile of w m at p / 2

Both ``b`` and ``w`` are taken at their upper ends, so a bright slow speckle or a steep I(q) is not called a defect.
Where many pixels of a ring stick out, or several side by side, there is a streak, a peak or a shadow: no defects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy.stats import poisson

_FEWEST_PIXELS = 50
_LARGEST_SHARE = 0.005
_NEIGHBOURS_OF_A_PEAK = 3
_UNCERTAINTY_SIGMA = 4.0
# Several modes of unlike weight reach a little further than the strongest of them alone.
_MORE_MODES = 1.1
_MOST_PASSES = 6
_HOT, _DEAD = 1, 2


@dataclass(frozen=True, slots=True)
class JudgedPixels:
    """Which pixels do not belong to their ring.

    Attributes
    ----------
    hot, dead : ndarray, shape (any,), int64
        Flat pixels, ascending.
    mean : ndarray, shape (fine ring,), float64
        Photons of a good pixel; nan where there are too few pixels to judge.
    """

    hot: np.ndarray
    dead: np.ndarray
    mean: np.ndarray


def judge_pixels(
    counts: np.ndarray,
    fine_of_pixel: np.ndarray,
    fine_rings: int,
    columns: int,
    speckle_area_px: float,
    probability: float,
) -> JudgedPixels:
    """Pixels whose sums are too improbable for their fine ring.

    Parameters
    ----------
    counts : ndarray, shape (pixel,), uint32 or int64
        Photons of each pixel over any number of frames.
    fine_of_pixel : ndarray, shape (pixel,), int16
        Fine ring of each pixel; negative ones are not judged.
    fine_rings : int
        Number of fine rings.
    columns : int
        Pixels in a row of the detector.
    speckle_area_px : float
        Pixels that vary together.
    probability : float
        Chance to call any good pixel of the detector hot, and as much to call one dead.
    """
    pixels = int(np.count_nonzero(fine_of_pixel >= 0))
    tail = probability / max(pixels, 1)
    highest = np.full(fine_rings, np.inf)
    kept = -1
    for _ in range(_MOST_PASSES):
        number, total, squares = (np.zeros(fine_rings) for _ in range(3))
        _add_up(counts, fine_of_pixel, highest, number, total, squares)
        # The hottest pixels hide others: what is left is looked at again until nothing more sticks out.
        if kept == number.sum():
            break
        kept = number.sum()
        mean, excess = _moments(number, total, squares, speckle_area_px)
        highest = _limit(mean, excess, tail)
    lowest = np.where(_chance_of_nothing(mean, excess) < tail, 1.0, 0.0)
    kind = np.zeros(counts.size, np.uint8)
    _mark(counts, fine_of_pixel, lowest, highest, kind)
    hot, dead = (
        _isolated(_only_few(np.flatnonzero(kind == which), fine_of_pixel, number), columns)
        for which in (_HOT, _DEAD)
    )
    return JudgedPixels(hot, dead, mean)


def _moments(
    number: np.ndarray, total: np.ndarray, squares: np.ndarray, speckle_area_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the excess of the variance over that of counting in units of mean^2, at its upper end."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where((number >= _FEWEST_PIXELS) & (total > 0), total / number, np.nan)
        variance = np.maximum(squares / number - mean**2, mean)
        excess = (variance - mean) / mean**2
        # Error of a variance whose fourth moment is that of a gamma distribution with Poisson noise.
        spread = np.sqrt((2 + 6 * excess + 1 / variance) * max(speckle_area_px, 1.0) / number)
        excess = excess + _UNCERTAINTY_SIGMA * spread * variance / mean**2
    return mean, np.minimum(excess, 1.0)


def _limit(mean: np.ndarray, excess: np.ndarray, tail: float) -> np.ndarray:
    """Largest count of a good pixel; infinite where nothing can be said."""
    limit = np.full(mean.shape, np.inf)
    known = np.isfinite(mean)
    share = np.minimum(_MORE_MODES * np.sqrt(excess[known]), 1.0)
    bright = np.maximum(mean[known] * share, np.finfo(np.float64).tiny)
    steady = poisson.isf(tail / 2, mean[known] * (1 - share))
    limit[known] = steady + np.ceil(np.log(tail / 2) / -np.log1p(1 / bright))
    return limit


def _chance_of_nothing(mean: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Probability that a good pixel counts nothing, for the darkest of the distributions with this excess."""
    known = np.isfinite(mean)
    chance = np.ones(mean.shape)
    m, b = mean[known], np.maximum(excess[known], np.finfo(np.float64).tiny)
    share = np.minimum(_MORE_MODES * np.sqrt(b), 1.0)
    one_mode = -m * (1 - share) - np.log1p(m * share)
    like_modes = -np.log1p(b * m) / b
    chance[known] = np.exp(np.maximum(one_mode, like_modes))
    return chance


def _only_few(pixels: np.ndarray, fine_of_pixel: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Those in rings where only few stick out."""
    fine = fine_of_pixel[pixels]
    found = np.bincount(fine, minlength=number.size)
    return pixels[(found <= np.maximum(_LARGEST_SHARE * number, 1))[fine]]


def _isolated(pixels: np.ndarray, columns: int) -> np.ndarray:
    """Those that neither have many of them around nor stand beside one that has."""
    row, column = np.divmod(pixels, columns)
    # A column on both sides that nobody has: the end of a row is not beside the start of the next.
    place = row * (columns + 2) + column + 1
    around = [down * (columns + 2) + right for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    neighbours = sum((np.isin(place + step, place).astype(int) for step in around), np.zeros(place.size, int))
    core = place[neighbours >= _NEIGHBOURS_OF_A_PEAK]
    beside = np.isin(place, core)
    for step in around:
        beside |= np.isin(place + step, core)
    return pixels[~beside]


@numba.njit(nogil=True, cache=True)
def _add_up(
    counts: np.ndarray,
    fine_of_pixel: np.ndarray,
    highest: np.ndarray,
    number: np.ndarray,
    total: np.ndarray,
    squares: np.ndarray,
) -> None:
    """Pixels, photons and squares of each fine ring without those above ``highest``; floats do not overflow."""
    ring = np.int64(-1)
    some, photons, squared, most = 0.0, 0.0, 0.0, 0.0
    for pixel in range(counts.size):
        fine = np.int64(fine_of_pixel[pixel])
        if fine < 0:
            continue
        # Neighbours are mostly of one ring; to wait for its last sum every time would take twice as long.
        if fine != ring:
            if ring >= 0:
                number[ring] += some
                total[ring] += photons
                squares[ring] += squared
            ring = fine
            some, photons, squared, most = 0.0, 0.0, 0.0, highest[fine]
        count = np.float64(counts[pixel])
        if count <= most:
            some += 1.0
            photons += count
            squared += count * count
    if ring >= 0:
        number[ring] += some
        total[ring] += photons
        squares[ring] += squared


@numba.njit(nogil=True, cache=True)
def _mark(
    counts: np.ndarray, fine_of_pixel: np.ndarray, lowest: np.ndarray, highest: np.ndarray, kind: np.ndarray
) -> None:
    for pixel in range(counts.size):
        fine = np.int64(fine_of_pixel[pixel])
        if fine >= 0:
            count = np.float64(counts[pixel])
            if count > highest[fine]:
                kind[pixel] = _HOT
            elif count < lowest[fine]:
                kind[pixel] = _DEAD
