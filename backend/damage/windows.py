"""Frames summed into decision windows, aligned to frame numbers so that the cut into calls does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.damage.window_kernels import add_expected, compile_kernels, sum_sectors


@dataclass(frozen=True, slots=True)
class Window:
    """Sums over the frames of one window.

    Attributes
    ----------
    last_frame : int
        Number of its last frame.
    frames : int
        Frames in it.
    dose : float
        Dose accumulated up to its end.
    counts : ndarray, shape (ring,), float64
        Photons.
    exposure_frames : ndarray, shape (ring,), float64
        Frames, each weighted with the valid part of the pixels.
    products : ndarray, shape (ring, lag), float64
        sum of I(t) I(t - lag) over frames and pixels; of I(t) (I(t) - 1) at lag 0.
    expected : ndarray, shape (ring, lag), float64
        The same for uncorrelated pixels: sum of n(t) n(t - lag) / pixels; of n(t) (n(t) - 1) / pixels at lag 0.
    """

    last_frame: int
    frames: int
    dose: float
    counts: np.ndarray
    exposure_frames: np.ndarray
    products: np.ndarray
    expected: np.ndarray

    @property
    def photons(self) -> float:
        """Photons of all rings, as if all pixels had been valid all the time."""
        return float((self.counts * self.frames / self.exposure_frames).sum())


def merge_windows(first: Window, second: Window) -> Window:
    """Sum of two neighbouring windows."""
    return Window(
        last_frame=second.last_frame,
        frames=first.frames + second.frames,
        dose=second.dose,
        counts=first.counts + second.counts,
        exposure_frames=first.exposure_frames + second.exposure_frames,
        products=first.products + second.products,
        expected=first.expected + second.expected,
    )


@dataclass(frozen=True, slots=True)
class SectorSums:
    """Sums over the frames of one window, for each sector of each ring.

    Attributes
    ----------
    last_frame, frames, dose
        As for :class:`Window`.
    counts : ndarray, shape (ring, sector), float64
        Photons.
    pixel_frames : ndarray, shape (ring, sector), float64
        Valid pixels, summed over frames.
    products, expected : ndarray, shape (ring, sector, lag), float64
        As for :class:`Window`; products corrected for the slope of I(q).
    """

    last_frame: int
    frames: int
    dose: float
    counts: np.ndarray
    pixel_frames: np.ndarray
    products: np.ndarray
    expected: np.ndarray

    def window(self, weight: np.ndarray, in_counts: np.ndarray, in_products: np.ndarray) -> Window:
        """Sums over sectors.

        Parameters
        ----------
        weight : ndarray, shape (ring, sector), float64
            Share of the photons of its ring that one valid pixel of a sector usually has.
        in_counts, in_products : ndarray, shape (ring, sector), bool
            Sectors to use.
        """
        return Window(
            self.last_frame,
            self.frames,
            self.dose,
            (self.counts * in_counts).sum(axis=1),
            (self.pixel_frames * weight * in_counts).sum(axis=1),
            sum_sectors(self.products, in_products),
            sum_sectors(self.expected, in_products),
        )


class WindowBuilder:
    """Sums frames into windows of ``frames_per_window``, which may be changed between two windows.

    Parameters
    ----------
    pixels : ndarray, shape (ring, sector)
        Pixels of each sector.
    lags : ndarray, shape (lag,), int64
        Lags of the products, in frames.
    gradient : ndarray, shape (ring,)
        Factor by which the slope of I(q) across a ring raises the products.
    """

    def __init__(
        self, frames_per_window: int, pixels: np.ndarray, lags: np.ndarray, gradient: np.ndarray
    ) -> None:
        self.frames_per_window = frames_per_window
        self._pixels = pixels.astype(np.float64)
        self._gradient = gradient
        self._lags = lags
        self._recent = np.zeros((max(int(lags.max()), 1), pixels.size))
        self._recent_pixels = np.ones_like(self._recent)
        self._seen = 0
        self._clear()
        compile_kernels()  # before the first frame, not in the middle of a series

    def _clear(self) -> None:
        cells, lags = self._pixels.size, len(self._lags)
        self._counts = np.zeros(cells)
        self._pixel_frames = np.zeros(cells)
        self._products = np.zeros((cells, lags))
        self._expected = np.zeros((lags, cells))
        self._frames = 0

    def windows(
        self, counts: np.ndarray, products: np.ndarray, dose: np.ndarray, valid_pixels: np.ndarray | None
    ) -> Iterator[SectorSums]:
        """Add frames; the windows that they complete. Arguments as in ``DamageDetector.add``, with sectors."""
        shape = (len(counts), self._pixels.size)
        counts, products = counts.reshape(shape), products.reshape(*shape, len(self._lags))
        pixels = np.broadcast_to(
            self._pixels.ravel() if valid_pixels is None else valid_pixels.reshape(shape), shape
        )
        first = 0
        while first < len(counts):
            end = min(first + self.frames_to_window_end, len(counts))
            summed = products[first:end].sum(axis=0)
            finished = self.add(counts[first:end], summed, float(dose[end - 1]), pixels[first:end])
            first = end
            if finished is not None:
                yield finished

    @property
    def frames_to_window_end(self) -> int:
        """Frames that the current window still takes."""
        return self.frames_per_window - self._seen % self.frames_per_window

    def add(
        self, counts: np.ndarray, products: np.ndarray, dose: float, valid_pixels: np.ndarray
    ) -> SectorSums | None:
        """Add frames, not beyond the end of the window; returns it when they complete it.

        Parameters
        ----------
        counts, valid_pixels : ndarray, shape (frame, cell)
        products : ndarray, shape (cell, lag)
            Summed over these frames.
        dose : float
            Up to the end of the last frame.
        """
        self._add(counts, products, valid_pixels)
        return self._finished(dose) if self._seen % self.frames_per_window == 0 else None

    def _add(self, counts: np.ndarray, products: np.ndarray, pixels: np.ndarray) -> None:
        reach = len(self._recent)
        self._counts += counts.sum(axis=0)
        self._pixel_frames += pixels.sum(axis=0)
        self._products += products
        self._seen += len(counts)
        self._frames += len(counts)
        counts = np.concatenate([self._recent, counts])
        pixels = np.concatenate([self._recent_pixels, pixels])
        add_expected(self._expected, counts, pixels, reach, self._lags)
        self._recent, self._recent_pixels = counts[-reach:], pixels[-reach:]

    def _finished(self, dose: float) -> SectorSums:
        cells = self._pixels.shape
        products = self._products.reshape(*cells, -1) / self._gradient[:, None, None]
        window = SectorSums(
            self._seen - 1,
            self._frames,
            dose,
            self._counts.reshape(cells),
            self._pixel_frames.reshape(cells),
            products,
            np.ascontiguousarray(self._expected.T).reshape(*cells, -1),
        )
        self._clear()
        return window
