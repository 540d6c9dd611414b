"""g2 of frames that do not follow each other evenly: bursts, pump and probe, pulses with growing distance.

Multi-tau counts lags in frames, which says nothing about time here. Instead every frame is paired with every earlier
one, and the pair goes into the bin of lags, in seconds, that the difference of their times falls into:

    g2(bin) = N sum_pairs sum_p I_p(t1) I_p(t2) / sum_pairs S(t1) S(t2),   S(t) = sum_p I_p(t) over the N pixels

Both sums run over the very same pairs, as in a two-time map, so changes of the incident intensity cancel and dark
frames weigh nothing. The lag of a bin is the mean over its pairs. The bins are those of a multi-tau scheme on a grid
of the shortest distance of two frames: single steps, then half as many per octave. Errors are delete-one-sector
jackknife.

All photons are kept and the work grows with the square of the frames. Beyond :data:`MOST_PAIRED_FRAMES` frames or
:data:`MOST_PHOTONS` photons, frames are no longer paired; whoever asks is told how many were.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from backend.correlation.multitau import MultiTauResult, leave_one_out, normalised
from backend.correlation.photon_lists import MOST_FRAMES, PhotonList, add_products, join, list_photons
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.worker_pool import processors, share_out

MOST_PAIRED_FRAMES = 20_000
MOST_PHOTONS = 250_000_000
"""Photons in rings, several in one pixel and frame counting at most as one: 4 bytes each, twice that in between."""

_FEWEST_SHARES = 8


def lag_edges_s(shortest_s: float, longest_s: float, lags_per_level: int) -> np.ndarray:
    """Edges between bins of lags, seconds, ascending: the bins hold 1 to n steps, then become wider octave by octave.

    The first edge is below ``shortest_s``, the last above ``longest_s``.
    """
    edges = [step + 0.5 for step in range(lags_per_level + 1)]
    width = 2
    while edges[-1] * shortest_s <= longest_s:
        edges += [edges[-1] + width * (step + 1) for step in range(lags_per_level // 2)]
        width *= 2
    return shortest_s * np.array(edges)


class IrregularTimes:
    """Accumulates frames with a time each; :meth:`result` may be asked for at any time.

    Parameters
    ----------
    partition : RingPartition
        Rings and sectors.
    order : PixelOrder
        Places of the pixels in the words.
    frame_start_s : ndarray, shape (frame,), float64
        When each frame of the series began, seconds from any moment on, strictly ascending; at least two. Frames
        beyond the list have no time and are not paired.
    lags_per_level : int
        Bins of single steps; every octave above has half as many.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.
    most_frames, most_photons : int
        Where pairing ends.

    Attributes
    ----------
    frames : int
        Frames added.
    paired_frames : int
        Those of them that are in the pairs: the first ones.
    """

    def __init__(
        self,
        partition: RingPartition,
        order: PixelOrder,
        frame_start_s: np.ndarray,
        lags_per_level: int = 8,
        pool: Executor | None = None,
        most_frames: int = MOST_PAIRED_FRAMES,
        most_photons: int = MOST_PHOTONS,
    ) -> None:
        if most_frames > MOST_FRAMES:
            raise ValueError(
                f"numbers of frames up to {MOST_FRAMES} fit into a list of photons, not {most_frames}"
            )
        self._partition = partition
        self._order = order
        self._start_s = np.asarray(frame_start_s, np.float64)[:most_frames]
        shortest_s = float(np.diff(self._start_s).min())
        longest_s = float(self._start_s[-1] - self._start_s[0])
        self._edges_s = lag_edges_s(shortest_s, longest_s, lags_per_level // 2 * 2)
        self._pool = pool
        self._shares = order.shares(max(_FEWEST_SHARES, 2 * processors()))
        bins, columns = self._edges_s.size - 1, partition.rings * (partition.sectors + 1)
        self._products = np.zeros((partition.rings * partition.sectors, bins), np.int64)
        self._normaliser = np.zeros((bins, columns))
        self._pairs = np.zeros(bins)
        # Lags are added up from the middle of their bin on, so that nothing is lost to rounding.
        self._middle_s = (self._edges_s[:-1] + self._edges_s[1:]) / 2
        self._offset_s, self._offset_squared_s2 = np.zeros(bins), np.zeros(bins)
        # Ring sums of all frames before each frame: those of any bin are the difference of two rows.
        self._sums_before = np.zeros((self._start_s.size + 1, columns), np.int64)
        self._lit = np.zeros(self._start_s.size, bool)
        self._lists: list[PhotonList] = []
        self._photons = 0
        self._photons_left = most_photons
        self.frames = 0
        self.paired_frames = 0

    def add(self, words: PhotonWords, cell_counts: np.ndarray) -> None:
        """Add the newest frames of the word; those before it in the word were added before.

        cell_counts : ndarray, shape (frame, cell), int64
            Their photons in each sector of each ring; a missing frame is a row of zeros.
        """
        first = self.frames % WORD_FRAMES
        if first + len(cell_counts) > WORD_FRAMES:
            raise ValueError(
                f"{len(cell_counts)} frames after {first} do not fit into a word of {WORD_FRAMES}"
            )
        pairing = self.paired_frames == self.frames
        self.frames += len(cell_counts)
        number = self._number_to_pair(cell_counts) if pairing else 0
        if number == 0:
            return
        new = range(self.paired_frames, self.paired_frames + number)
        bin_of_pair = self._add_sums(new, cell_counts[:number])
        bits = range(first, first + number)
        latest = list_photons(words, self._order, bits, new.start, self._shares, self._pool)
        self._multiply(latest, new.start, bin_of_pair)
        self._keep(latest)
        self.paired_frames += number

    def _number_to_pair(self, cell_counts: np.ndarray) -> int:
        """How many of the new frames have a time and room; the same however they come in pieces."""
        pixels = self._partition.cell_pixels.ravel()
        photons = np.cumsum(np.minimum(cell_counts, pixels).sum(axis=1))
        with_room = int(np.searchsorted(photons, self._photons_left, side="right"))
        number = min(with_room, self._start_s.size - self.paired_frames)
        if number:
            self._photons_left -= int(photons[number - 1])
        return number

    def _add_sums(self, new: range, cell_counts: np.ndarray) -> np.ndarray:
        """Add ring sums, pairs and lags of new frames; returns the bin of each with every frame before it."""
        sums = leave_one_out(cell_counts.reshape(len(new), self._partition.rings, -1)).reshape(len(new), -1)
        before = self._sums_before
        before[new.start + 1 : new.stop + 1] = before[new.start] + np.cumsum(sums, axis=0)
        self._lit[new.start : new.stop] = cell_counts.any(axis=1)
        bin_of_pair = np.empty((len(new), new.stop), np.int16)
        bins = np.arange(self._pairs.size, dtype=np.int16)
        for row, frame in enumerate(new):
            earlier_s, now_s = self._start_s[:frame], self._start_s[frame]
            # Bin b holds the frames from bounds[b + 1] to bounds[b].
            bounds = np.searchsorted(earlier_s, now_s - self._edges_s, side="right")
            bin_of_pair[row, :frame] = np.repeat(bins[::-1], -np.diff(bounds)[::-1])
            # In floating point, always frame by frame: a product of ring sums may not fit into 64 bits.
            members = (before[bounds[:-1]] - before[bounds[1:]]).astype(np.float64)
            self._normaliser += sums[row] * members
            if self._lit[frame]:
                lit = self._lit[:frame]
                chosen = bin_of_pair[row, :frame][lit]
                self._pairs += np.bincount(chosen, minlength=bins.size)
                offset_s = now_s - earlier_s[lit] - self._middle_s[chosen]
                self._offset_s += np.bincount(chosen, offset_s, bins.size)
                self._offset_squared_s2 += np.bincount(chosen, offset_s**2, bins.size)
        return bin_of_pair

    def _multiply(self, latest: PhotonList, first_frame: int, bin_of_pair: np.ndarray) -> None:
        """Add the products of new photons with all earlier ones and with each other."""

        def work(share: tuple[int, int]) -> np.ndarray:
            products = np.zeros_like(self._products)
            now = (latest.offset, latest.entries)
            for photons in (*self._lists, latest):
                before = (photons.offset, photons.entries)
                same = photons is latest
                add_products(
                    *share, self._order.segments, now, before, same, first_frame, bin_of_pair, products
                )
            return products

        for part in share_out(self._pool, work, self._shares):
            self._products += part

    def _keep(self, latest: PhotonList) -> None:
        """Keep the photons; lists of like length are joined, so that there are only a few."""
        self._lists.append(latest)
        while len(self._lists) > 1 and self._lists[-2].frames <= self._lists[-1].frames:
            then, first = self._lists.pop(), self._lists.pop()
            self._lists.append(join(first, then, self._order, self._shares, self._pool))

    def result(
        self, of_frames: MultiTauResult, frame_time_s: float, gradient: np.ndarray | None = None
    ) -> MultiTauResult:
        """g2 of everything paired so far.

        Parameters
        ----------
        of_frames : MultiTauResult
            Of the same frames: its lag 0, the contrast of single frames, needs no times.
        frame_time_s : float
            Unit of the lags.
        gradient : ndarray or None, shape (ring,)
            As in ``MultiTau.result``.

        Returns
        -------
        MultiTauResult
            ``lag_frames`` is float64 here: mean lag of the pairs of each bin over ``frame_time_s``. Bins without
            pairs are left out.
        """
        filled = self._pairs > 0
        partition = self._partition
        shape = (-1, partition.rings, partition.sectors)
        numerator = leave_one_out(self._products.T[filled].reshape(shape).astype(np.float64))
        denominator = self._normaliser[filled].reshape(numerator.shape)
        values = normalised(leave_one_out(partition.cell_pixels), numerator, denominator, gradient)
        lag_s, spread_s = self._lags_s()
        return MultiTauResult(
            np.append(0.0, lag_s[filled] / frame_time_s),
            np.concatenate([of_frames.g2[:, :1], values[0]], axis=-1),
            np.concatenate([of_frames.replicates[..., :1], values[1:]], axis=-1),
            np.append(0.0, spread_s[filled] / frame_time_s),
        )

    def _lags_s(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and rms deviation of the lags of the pairs in each bin, shape (bin,); of empty ones anything."""
        pairs = np.maximum(self._pairs, 1)
        offset_s = self._offset_s / pairs
        variance_s2 = self._offset_squared_s2 / pairs - offset_s**2
        return self._middle_s + offset_s, np.sqrt(np.maximum(variance_s2, 0.0))
