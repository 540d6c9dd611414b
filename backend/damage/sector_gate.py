"""Leaves out sectors of rings that suddenly count more or less than their share: modules fail, the sample does not so.

Sectors in which a few pixels outshine all others are left out as well (:mod:`backend.damage.bright_pixels`).

A change of the sample changes a ring all the way round; the incident beam changes all rings. So the share of a sector
in its ring is steady but for counting and speckle,

    var(n) = n + n^2 2 (g2 - 1) / N_speckles + (s n)^2

(2: the speckle now and that of the first windows; s: slow systematics, common to a sector in all rings). Modules cover
neighbouring rings, and seldom whole sectors, so it is sums over any neighbouring rings of one or two neighbouring
sectors that are looked at, of each window by itself and of the newest ten frames together where windows are shorter:
what a few frames show half the time, ten always show.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from backend.damage.bright_pixels import BrightPixels
from backend.damage.sector_kernels import compile_kernels, distances_in_sigma, farthest_sum, usual_counts
from backend.damage.window_length import windows_spanning
from backend.damage.windows import SectorSums, Window

_FAR_SIGMA = 5.0
_SMALLEST_JUMP = 0.02
_LARGEST_SHARE = 0.6
"""Of the photons of a ring; a chip may well hold half of the outermost one."""
_ENOUGH_FOR_A_MEDIAN = 20.0
_MEDIAN_OF_SQUARES = 0.4549
"""Of a standard normal."""
_FRAMES_TOGETHER = 10
_MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class SectorGlitch:
    """What was left out: one sector of neighbouring rings, numbered from 0, in these frames.

    ``factor``: counts over usual ones, where they were farthest from them. ``bright_pixels``: true where it was not the
    counts but a few pixels with far more photons than the others.
    """

    sector: int
    first_ring: int
    last_ring: int
    first_frame: int
    last_frame: int
    factor: float
    bright_pixels: bool = False


class SectorGate:
    """Sums windows over the sectors that count as usual.

    Parameters
    ----------
    pixels : ndarray, shape (ring, sector)
    speckles : ndarray, shape (ring,)
        Independent speckles of each ring.
    longest_lag : int
        Products of a frame reach back so many frames.
    systematic_rms : float
        Relative rms of slow systematics.
    """

    def __init__(
        self, pixels: np.ndarray, speckles: np.ndarray, longest_lag: int, systematic_rms: float
    ) -> None:
        # A sector without pixels has no counts either; one pixel keeps it from being divided by.
        self._pixels = np.maximum(np.asarray(pixels, float), 1e-9)
        self._take_share(self._pixels)
        self._speckles = np.maximum(speckles[:, None] * self._share, 1.0)
        self._longest_lag = longest_lag
        self._systematic_variance = systematic_rms**2
        self._speckle_variance = np.zeros(self._pixels.shape)
        self._over_dispersion = np.ones((len(self._pixels), 1))
        self._learnt_windows = 0
        self._newest: deque[SectorSums] = deque()
        self._recent: deque[tuple[int, np.ndarray]] = deque()
        self._bright = BrightPixels(self._pixels, self._speckles)
        # With the other kernels before the first frame, not in the middle of a series.
        compile_kernels()
        # Old ones are forgotten: a loose contact must not fill the memory.
        self.glitches: deque[SectorGlitch] = deque(maxlen=_MOST_TOLD)

    def whole(self, sums: SectorSums) -> Window:
        """The window with all sectors."""
        everything = np.ones(self._pixels.shape, bool)
        return sums.window(self._weight, everything, everything)

    def learn(self, first: list[SectorSums]) -> None:
        """Set the usual share of each sector, and its scatter, by the first windows; medians, for one may be bad."""
        counts = np.array([sums.counts for sums in first])
        valid = np.array([sums.pixel_frames for sums in first])
        rate = counts / np.maximum(valid, 1e-9) * self._pixels
        share = np.median(rate / np.maximum(rate.sum(axis=2, keepdims=True), 1e-9), axis=0)
        # The median of few photons is far from their mean.
        few = counts.mean(axis=(0, 2)) < _ENOUGH_FOR_A_MEDIAN
        in_sum = counts.sum(axis=0) / np.maximum(valid.sum(axis=0), 1e-9) * self._pixels
        share[few] = in_sum[few]
        self._take_share(share)
        self._learnt_windows = len(first)
        contrast = _largest_excess(first)
        self._bright.learn(first, contrast)
        self._speckle_variance = 2 * contrast[:, None] / self._speckles
        self._over_dispersion = np.ones((len(share), 1))
        nothing = np.zeros(share.shape, bool)
        squares = np.array([self._distances(sums, nothing) ** 2 for sums in first])
        widening = np.median(squares, axis=(0, 2)) / _MEDIAN_OF_SQUARES
        self._over_dispersion = np.maximum(widening, 1.0)[:, None]

    def window(self, sums: SectorSums, whole: Window) -> Window:
        """The window without sectors that have jumped; their products stay out as long as they reach back to it.

        ``whole``: the window with all sectors.
        """
        if self._pixels.shape[1] == 1:
            return whole  # nothing to compare it with
        out, all_round = self._jumped_of_late(sums)
        bright = self._bright.found_in(sums) & ~out
        self._tell(sums, out, bright_pixels=False)
        self._tell(sums, bright, bright_pixels=True)
        out |= bright
        first_frame = sums.last_frame - sums.frames + 1
        while self._recent and self._recent[0][0] < first_frame - self._longest_lag:
            self._recent.popleft()
        out_of_products = out.copy()
        for _, earlier in self._recent:
            out_of_products |= earlier
        if out.any():
            self._recent.append((sums.last_frame, out))
        window = sums.window(self._weight, ~out, ~out_of_products) if out_of_products.any() else whole
        self._follow_share(sums, out | all_round[:, None])
        return window

    def _take_share(self, share: np.ndarray) -> None:
        self._share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
        self._weight = self._share / self._pixels

    def _follow_share(self, sums: SectorSums, jumped: np.ndarray) -> None:
        """Slow changes are followed; what jumps, be it all round a ring, is left out."""
        usual = self._usual(sums.counts, sums.pixel_frames, jumped)
        ratio = np.where(jumped | (usual <= 0), 1.0, sums.counts / np.maximum(usual, 1e-9))
        self._take_share(self._share * (1 + (ratio - 1) / max(self._learnt_windows, 1)))

    def _usual(self, counts: np.ndarray, pixel_frames: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Counts by the usual shares of what the sectors in use have counted, shape (ring, sector)."""
        foreseen, used = self._weight * pixel_frames, ~out
        usual: np.ndarray = usual_counts(counts, foreseen, used, (foreseen * used).sum(axis=1))
        return usual

    def _variance(self, usual: np.ndarray) -> np.ndarray:
        """Of the counts of each sector by counting and speckle, shape (ring, sector)."""
        learnt = 1 + 1 / max(self._learnt_windows, 1)
        return (usual + usual**2 * self._speckle_variance) * learnt * self._over_dispersion

    def _distances(self, sums: SectorSums, out: np.ndarray) -> np.ndarray:
        """Of the counts of each sector from the usual ones, in standard deviations."""
        usual = self._usual(sums.counts, sums.pixel_frames, out)
        variance = self._variance(usual) + self._systematic_variance * usual**2
        distances: np.ndarray = distances_in_sigma(sums.counts, usual, variance)
        return distances

    def _jumped_of_late(self, sums: SectorSums) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`_jumped`, in this window by itself and in the newest ten frames together."""
        self._newest.append(sums)
        while len(self._newest) > windows_spanning(_FRAMES_TOGETHER, sums.frames):
            self._newest.popleft()
        out, all_round = self._jumped(sums.counts, sums.pixel_frames)
        if len(self._newest) > 1:
            counts = sum((window.counts for window in self._newest), np.zeros(out.shape))
            pixel_frames = sum((window.pixel_frames for window in self._newest), np.zeros(out.shape))
            out |= self._jumped(counts, pixel_frames)[0]
            if out.any():
                all_round |= self._turned(out)
                out[all_round] = False
        return out, all_round

    def _turned(self, out: np.ndarray) -> np.ndarray:
        """Rings of which most is out, bool: what happens to most of a ring is not the fault of a module."""
        most: np.ndarray = (self._share * out).sum(axis=1) > _LARGEST_SHARE
        return most

    def _jumped(self, counts: np.ndarray, pixel_frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sectors that count far more or less than usual, (ring, sector), and rings that do so all round; bool."""
        out = np.zeros(self._pixels.shape, bool)
        all_round = np.zeros(len(out), bool)
        for _ in range(self._pixels.size):
            usual = self._usual(counts, pixel_frames, out)
            free = ~(out | all_round[:, None])
            first, end, sector, together = farthest_sum(
                counts,
                usual,
                self._variance(usual),
                free,
                self._systematic_variance,
                _SMALLEST_JUMP,
                _FAR_SIGMA,
            )
            if not together:
                break
            far = (sector + np.arange(together)) % out.shape[1]
            out[first:end, far] |= free[first:end, far]
            all_round |= self._turned(out)
            out[all_round] = False
        return out, all_round

    def _tell(self, sums: SectorSums, out: np.ndarray, *, bright_pixels: bool) -> None:
        if not out.any():
            return
        usual = self._usual(sums.counts, sums.pixel_frames, out)
        first_frame = sums.last_frame - sums.frames + 1
        for sector in np.flatnonzero(out.any(axis=0)).tolist():
            rings = np.flatnonzero(out[:, sector])
            factor = float(sums.counts[rings, sector].sum() / max(float(usual[rings, sector].sum()), 1e-9))
            new = SectorGlitch(
                sector, int(rings[0]), int(rings[-1]), first_frame, sums.last_frame, factor, bright_pixels
            )
            before = next((glitch for glitch in self.glitches if _goes_on(glitch, new)), None)
            if before is not None:
                self.glitches.remove(before)
                new = replace(
                    new,
                    first_ring=min(before.first_ring, new.first_ring),
                    last_ring=max(before.last_ring, new.last_ring),
                    first_frame=before.first_frame,
                    factor=max(before.factor, factor, key=lambda ratio: abs(ratio - 1)),
                )
            self.glitches.append(new)


def _goes_on(before: SectorGlitch, new: SectorGlitch) -> bool:
    """Whether it is the same trouble one window later."""
    same = (before.sector, before.bright_pixels) == (new.sector, new.bright_pixels)
    return same and before.last_frame == new.first_frame - 1


def _largest_excess(first: list[SectorSums]) -> np.ndarray:
    """g2 - 1 of each ring at the shortest lag, shape (ring,), as large as two standard deviations allow, at most 1."""
    products = np.sum([sums.products[:, :, 0].sum(axis=1) for sums in first], axis=0)
    expected = np.maximum(np.sum([sums.expected[:, :, 0].sum(axis=1) for sums in first], axis=0), 1e-9)
    largest: np.ndarray = np.clip(products / expected - 1, 0, 1) + 2 / np.sqrt(expected)
    return np.minimum(largest, 1.0)
