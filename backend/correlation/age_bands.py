"""g2 at each age of the sample and at all lags, for series of any length: readings of the multi-tau sums now and then.

The sums of the correlator only grow. What they grew by between two readings are the pairs of frames whose later one
came in between, so it gives g2 of that band of ages as exactly as the whole gives g2 of the series: normaliser, errors,
and lags from one frame to the age itself. No photon is looked at again, and a band costs one copy of the sums.

Bands have the length of a word at first. When there are too many, every second reading is forgotten: two neighbours
become one band, as exact as if it had been one from the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.correlation.multitau import MultiTau, jackknife_error, leave_one_out, normalised
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES


@dataclass(frozen=True, slots=True)
class AgeCut:
    """g2 of one ring, of all pairs whose later frame lies in a band of ages.

    Attributes
    ----------
    first_frame, last_frame : int
        The band; the last is excluded.
    lag_frames : ndarray, shape (lag,), int64
        Ascending, from 1; as far back as the series begins.
    g2, g2_err : ndarray, shape (lag,), float64
        nan where the band has no pair with photons; one sigma, from the scatter between sectors.
    """

    first_frame: int
    last_frame: int
    lag_frames: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray


class AgeBands:
    """Readings of one correlator at the ends of bands.

    Memory: 8 bytes for every reading, lag, and ring with its sectors twice (12 MB for 32 bands, 70 lags, 20 rings of 16
    sectors), whatever the length of the series.

    Parameters
    ----------
    partition : RingPartition
        Rings and sectors of the correlator.
    most_bands : int
        Even; when there would be more, neighbours become one.

    Attributes
    ----------
    band_frames : int
        Length of a band: 64 frames times a power of two.
    """

    def __init__(self, partition: RingPartition, most_bands: int = 32) -> None:
        if most_bands < 2 or most_bands % 2:
            raise ValueError(f"the largest number of bands must be even and at least 2, not {most_bands}")
        self._partition = partition
        self._most_bands = most_bands
        self.band_frames = WORD_FRAMES
        rings, sectors = partition.rings, partition.sectors
        nothing = (
            np.zeros(0, np.int64),
            np.zeros((0, rings, sectors), np.int64),
            np.zeros((0, rings, sectors + 1)),
        )
        self._readings = [nothing]

    @property
    def bands(self) -> int:
        """Bands that are complete."""
        return len(self._readings) - 1

    def add(self, multitau: MultiTau) -> None:
        """Read the sums if a band ends with the newest frame; to be called whenever the correlator was given frames."""
        if multitau.frames == len(self._readings) * self.band_frames:
            if self.bands == self._most_bands:
                self._readings = self._readings[::2]
                self.band_frames *= 2
            else:
                self._readings.append(multitau.sums())

    def cuts(self, ring: int, most_cuts: int, gradient: float = 1.0) -> tuple[AgeCut, ...]:
        """The complete bands of a ring, put together to at most ``most_cuts`` that are about equally long.

        gradient : float
            <I>-map factor of the ring, as in :meth:`backend.correlation.multitau.MultiTau.result`.
        """
        edges = np.linspace(0, self.bands, min(most_cuts, self.bands) + 1).round().astype(int).tolist()
        return tuple(
            self._cut(first, last, ring, gradient) for first, last in zip(edges[:-1], edges[1:], strict=True)
        )

    def _cut(self, first: int, last: int, ring: int, gradient: float) -> AgeCut:
        lag_frames, products, normaliser = self._readings[last]
        _, earlier_products, earlier_normaliser = self._readings[first]
        # Longer lags are reached later: those of before are the first ones of now. The lag 0 is the contrast.
        before = len(earlier_products)
        cells, denominator = products[:, ring].astype(np.float64), normaliser[:, ring].copy()
        cells[:before] -= earlier_products[:, ring]
        denominator[:before] -= earlier_normaliser[:, ring]
        numerator = leave_one_out(cells[1:])
        pixels = leave_one_out(self._partition.cell_pixels[ring].astype(np.float64))
        values = normalised(pixels[None], numerator[:, None], denominator[1:, None], np.array([gradient]))[
            :, 0
        ]
        return AgeCut(
            first * self.band_frames,
            last * self.band_frames,
            lag_frames[1:],
            values[0],
            jackknife_error(values[1:]),
        )
