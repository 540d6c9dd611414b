"""What a faulty detector makes of a frame: a chip that drops out, a pixel that flashes."""

from __future__ import annotations

import numpy as np

from backend.simulation.scenario import Scenario


class DetectorFaults:
    """Spoils the frames of one series, in their order.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool
        Pixels that count photons; the others keep what they read.
    frames : int
        Length of the series.
    rng : Generator
        Decides when a pixel flashes.
    """

    def __init__(self, scenario: Scenario, good: np.ndarray, frames: int, rng: np.random.Generator) -> None:
        self._scenario = scenario
        self._frames = frames
        self._rng = rng
        rows, columns = good.shape
        self._dropped = np.zeros_like(good)
        if (glitch := scenario.glitch) is not None:
            part = slice(*_pixels(glitch.rows, rows)), slice(*_pixels(glitch.columns, columns))
            self._dropped[part] = good[part]
        self._flash_yx: tuple[int, int] | None = None
        if (flash := scenario.flash) is not None:
            # A pixel that counts photons, as near to the wished place as there is one.
            y, x = np.nonzero(good)
            nearest = np.argmin((y - flash.row * rows) ** 2 + (x - flash.column * columns) ** 2)
            self._flash_yx = int(y[nearest]), int(x[nearest])

    def spoil(self, counts: np.ndarray, frame: int) -> None:
        """Change the photons of this frame, shape (y, x), in place."""
        scenario, frames = self._scenario, self._frames
        if scenario.has_glitch(frame, frames):
            counts[self._dropped] = 0
        if scenario.flash is None or self._flash_yx is None or not scenario.may_flash(frame, frames):
            return
        if self._rng.random() < scenario.flash.chance:
            counts[self._flash_yx] += scenario.flash.photons


def _pixels(edges: tuple[float, float], length: int) -> tuple[int, int]:
    return round(edges[0] * length), round(edges[1] * length)
