"""Frames summed into decision windows, aligned to frame numbers so that the cut into calls does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from backend.damage.window_kernels import add_expected


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
        sum of I(t) I(t - lag) over frames and pixels.
    expected : ndarray, shape (ring, lag), float64
        The same for uncorrelated pixels: sum of n(t) n(t - lag) / pixels.
    """

    last_frame: int
    frames: int
    dose: float
    counts: np.ndarray
    exposure_frames: np.ndarray
    products: np.ndarray
    expected: np.ndarray


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


class WindowBuilder:
    """Sums frames into windows of ``frames_per_window``, which may be changed between two windows.

    Parameters
    ----------
    ring_pixels : ndarray, shape (ring,)
        Pixels per ring.
    lags : ndarray, shape (lag,), int64
        Lags of the products, in frames.
    gradient : ndarray, shape (ring,)
        Factor by which the slope of I(q) across a ring raises the products.
    """

    def __init__(
        self, frames_per_window: int, ring_pixels: np.ndarray, lags: np.ndarray, gradient: np.ndarray
    ) -> None:
        self.frames_per_window = frames_per_window
        self._pixels = ring_pixels.astype(np.float64)
        self._gradient = gradient
        self._lags = lags
        self._recent = np.zeros((int(lags.max()), len(ring_pixels)))
        self._recent_pixels = np.ones_like(self._recent)
        self._seen = 0
        self._clear()

    def _clear(self) -> None:
        shape = (len(self._pixels), len(self._lags))
        self._counts = np.zeros(shape[0])
        self._valid_pixels = np.zeros(shape[0])
        self._products = np.zeros(shape)
        self._expected = np.zeros(shape)
        self._frames = 0

    def windows(
        self, counts: np.ndarray, products: np.ndarray, dose: np.ndarray, valid_pixels: np.ndarray | None
    ) -> Iterator[Window]:
        """Add frames; the windows that they complete. Arguments as in ``DamageDetector.add``."""
        pixels = np.broadcast_to(self._pixels if valid_pixels is None else valid_pixels, counts.shape)
        first = 0
        while first < len(counts):
            end = min(first + self.frames_per_window - self._seen % self.frames_per_window, len(counts))
            self._add(counts[first:end], products[first:end], pixels[first:end])
            first = end
            if self._seen % self.frames_per_window == 0:
                yield self._finished(float(dose[end - 1]))

    def _add(self, counts: np.ndarray, products: np.ndarray, pixels: np.ndarray) -> None:
        reach = len(self._recent)
        self._counts += counts.sum(axis=0)
        self._valid_pixels += pixels.sum(axis=0)
        self._products += products.sum(axis=0)
        self._seen += len(counts)
        self._frames += len(counts)
        counts = np.concatenate([self._recent, counts])
        pixels = np.concatenate([self._recent_pixels, pixels])
        add_expected(self._expected, counts, pixels, reach, self._lags)
        self._recent, self._recent_pixels = counts[-reach:], pixels[-reach:]

    def _finished(self, dose: float) -> Window:
        window = Window(
            self._seen - 1,
            self._frames,
            dose,
            self._counts,
            self._valid_pixels / self._pixels,
            self._products / self._gradient[:, None],
            self._expected,
        )
        self._clear()
        return window
