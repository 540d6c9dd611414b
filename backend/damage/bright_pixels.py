"""Finds sectors in which a few pixels hold far more photons than the others: one that became hot, a flash, a streak.

Few photons in one pixel are lost in the counts of its sector, but they stand out in its products, for these go with
their square. A pixel that counts h in every frame adds h^2 to sum I(t) I(t - lag), at all lags, where a sector of P
pixels with n photons each has about P n^2 (1 + contrast). The sample, or the beam, changes the products over counts of
all sectors of a ring alike; so a sector is compared with the others of its ring in the same windows, and nothing has to
be learnt of it. A sector with few speckles has an uneven image of its own: its variance, about the contrast c, scatters
by c sqrt((2 + 6 c) / speckles) (that of a gamma distribution), and is let pass.
"""

from __future__ import annotations

import numpy as np

from backend.damage.sector_kernels import distances_in_sigma, usual_by_others
from backend.damage.window_length import windows_spanning
from backend.damage.windows import SectorSums

_FAR_SIGMA = 5.0
_MEMORY_WINDOWS = 16
_MEMORY_FRAMES = 160
_UNEVEN_SIGMA = 8.0
"""The few speckles of a sector have wide tails."""
_LARGEST_SHARE = 0.6
"""Of the pixels of a ring: what happens to most of it is not the fault of a pixel."""
_MEDIAN_OF_SQUARES = 0.4549
"""Of a standard normal."""


class BrightPixels:
    """Compares the products of the sectors of each ring.

    Windows are looked at one by one, which finds what is bright at once, and with a memory of sixteen, or of 160 frames
    where these are more, which finds what is weak and lasts; what one window alone has shown stays out of the memory.

    Parameters
    ----------
    pixels, speckles : ndarray, shape (ring, sector)
    """

    def __init__(self, pixels: np.ndarray, speckles: np.ndarray) -> None:
        self._speckles = speckles
        self._pixel_share = pixels / pixels.sum(axis=1, keepdims=True)
        self._products = np.zeros(pixels.shape)
        self._expected = np.zeros(pixels.shape)
        self._least_excess = np.zeros(pixels.shape)
        self._over_dispersion = np.ones((len(pixels), 1))

    def learn(self, first: list[SectorSums], contrast: np.ndarray) -> None:
        """Set how widely the sectors scatter.

        Parameters
        ----------
        first : list of SectorSums
            The first windows; medians are taken, for one may be bad.
        contrast : ndarray, shape (ring,)
            g2 - 1 that the speckle of each ring may have at most.
        """
        scatter = np.sqrt((2 + 6 * contrast[:, None]) / self._speckles)
        self._least_excess = contrast[:, None] * (1 + _UNEVEN_SIGMA * scatter)
        squares = []
        for sums in first:
            products, expected = _over_lags(sums)
            # What is bright already must not make all others look far from usual.
            out = self._far(products, expected)
            products, usual = _usual(products, expected, out)
            squares.append(np.where(out, np.nan, distances_in_sigma(products, usual, usual) ** 2))
        widening = np.nanmedian(np.array(squares), axis=(0, 2)) / _MEDIAN_OF_SQUARES
        self._over_dispersion = np.maximum(widening, 1.0)[:, None]

    def found_in(self, sums: SectorSums) -> np.ndarray:
        """Sectors, shape (ring, sector), bool, that have far larger products than the rest of their ring."""
        products, expected = _over_lags(sums)
        flashing = self._far(products, expected)
        keep = 1 - 1 / windows_spanning(_MEMORY_FRAMES, sums.frames, _MEMORY_WINDOWS)
        self._products = keep * self._products + products * ~flashing
        self._expected = keep * self._expected + expected * ~flashing
        return flashing | self._far(self._products, self._expected)

    def _far(self, products: np.ndarray, expected: np.ndarray) -> np.ndarray:
        out = np.zeros(products.shape, bool)
        # The brightest raises what the others are compared with: it goes first, one in each ring at a time.
        for _ in range(products.shape[1]):
            with_products, usual = _usual(products, expected, out)
            distance = distances_in_sigma(with_products, usual, usual * self._over_dispersion)
            if distance.max() <= _FAR_SIGMA:
                break
            excess = (products - usual) > self._least_excess * expected
            distance = np.where(excess & ~out, distance, 0.0)
            new = (distance > _FAR_SIGMA) & (distance == distance.max(axis=1, keepdims=True))
            if not new.any():
                break
            out |= new
        if out.any():
            out[(self._pixel_share * out).sum(axis=1) > _LARGEST_SHARE] = False
        return out


def _over_lags(sums: SectorSums) -> tuple[np.ndarray, np.ndarray]:
    """Products and those of uncorrelated pixels, summed over lags; shape (ring, sector)."""
    return sums.products.sum(axis=2), sums.expected.sum(axis=2)


def _usual(products: np.ndarray, expected: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products, and what they would be by the other sectors of the ring that are not ``out``; 0 where there is none."""
    used = ~out
    of_ring = ((products * used).sum(axis=1), (expected * used).sum(axis=1))
    usual: tuple[np.ndarray, np.ndarray] = usual_by_others(products, expected, used, of_ring)
    return usual
