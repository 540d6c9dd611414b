"""Frames summed into decision windows, aligned to frame numbers so that the cut into calls does not matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    products : ndarray, shape (ring, lag), float64
        sum of I(t) I(t - lag) over frames and pixels.
    expected : ndarray, shape (ring, lag), float64
        The same for uncorrelated pixels: sum of n(t) n(t - lag) / pixels.
    """

    last_frame: int
    frames: int
    dose: float
    counts: np.ndarray
    products: np.ndarray
    expected: np.ndarray


def merge_windows(first: Window, second: Window) -> Window:
    """Sum of two neighbouring windows."""
    return Window(
        last_frame=second.last_frame,
        frames=first.frames + second.frames,
        dose=second.dose,
        counts=first.counts + second.counts,
        products=first.products + second.products,
        expected=first.expected + second.expected,
    )


class WindowBuilder:
    """Sums frames into windows of ``frames_per_window``.

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
        self._seen = 0
        self._clear()

    def _clear(self) -> None:
        shape = (len(self._pixels), len(self._lags))
        self._counts = np.zeros(shape[0])
        self._products = np.zeros(shape)
        self._expected = np.zeros(shape)
        self._frames = 0

    def add(self, counts: np.ndarray, products: np.ndarray, dose: float) -> Window | None:
        """Add the next frame (a missing frame is one of zeros); the window that it completes, if it does."""
        slots = len(self._recent)
        earlier = self._recent[(self._seen - self._lags) % slots]
        earlier[self._lags > self._seen] = 0.0
        self._expected += counts[:, None] * earlier.T / self._pixels[:, None]
        self._products += products / self._gradient[:, None]
        self._counts += counts
        self._recent[self._seen % slots] = counts
        self._seen += 1
        self._frames += 1
        if self._seen % self.frames_per_window:
            return None
        window = Window(self._seen - 1, self._frames, dose, self._counts, self._products, self._expected)
        self._clear()
        return window
