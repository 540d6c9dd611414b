"""Running mean image, I(q) of the first frames and of the newest, I(t)."""

from __future__ import annotations

from collections import deque

import numpy as np

from backend.correlation import event_kernels as kernels
from backend.photon_events import RingPartition

_LONGEST_TRACE = 2000
_PARABOLA = 3


class MeanImage:
    """Sum of all frames, photon by photon.

    Parameters
    ----------
    pixels : int
        Pixels of the detector.
    """

    def __init__(self, pixels: int) -> None:
        self.counts = np.zeros(pixels, np.int64)
        self.frames = 0

    def add(self, pixel: np.ndarray, count: np.ndarray) -> None:
        """Add one frame."""
        kernels.add_to_image(pixel, count, self.counts)
        self.frames += 1


class TotalTrace:
    """Photons per good pixel against frame number, thinned by summing neighbours so that it never grows.

    Parameters
    ----------
    good_pixels : int
        Pixels that could have given photons.
    """

    def __init__(self, good_pixels: int) -> None:
        self._good_pixels = max(good_pixels, 1)
        self._frames_per_point = 1
        self._frame: list[float] = []
        self._counts: list[float] = []
        self._open_counts = 0.0
        self._open_frames = 0

    def add(self, frame_number: int, counts: int) -> None:
        """Add the photons of one frame."""
        self._open_counts += counts
        self._open_frames += 1
        if self._open_frames < self._frames_per_point:
            return
        self._frame.append(float(frame_number))
        self._counts.append(self._open_counts / self._frames_per_point)
        self._open_counts = 0.0
        self._open_frames = 0
        if len(self._frame) == _LONGEST_TRACE:
            self._frame = self._frame[1::2]
            self._counts = [
                (first + second) / 2
                for first, second in zip(self._counts[::2], self._counts[1::2], strict=True)
            ]
            self._frames_per_point *= 2

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Frame numbers and photons per pixel and frame; both shape (point,), float64."""
        return np.array(self._frame), np.array(self._counts) / self._good_pixels


class RadialIntensity:
    """I(q) on the fine rings: first frames, newest frames, and the whole series.

    Parameters
    ----------
    partition : RingPartition
        Fine rings.
    span_frames : int
        Frames that "first" and "newest" mean.
    """

    def __init__(self, partition: RingPartition, span_frames: int) -> None:
        self._partition = partition
        self._span_frames = span_frames
        self._first = np.zeros(partition.fine_rings, np.int64)
        self._newest: deque[tuple[int, np.ndarray]] = deque(maxlen=span_frames)
        self._first_numbers: list[int] = []
        self.total = np.zeros(partition.fine_rings, np.int64)
        self.frames = 0

    def add(self, frame_number: int, pixel: np.ndarray, count: np.ndarray) -> None:
        """Add one frame. Frames without a single photon (no beam) do not count as first or newest."""
        counts = np.zeros(self._partition.fine_rings, np.int64)
        kernels.add_counts(pixel, count, self._partition.fine_of_pixel, counts, np.zeros_like(counts))
        self.total += counts
        self.frames += 1
        if not counts.any():
            return
        if len(self._first_numbers) < self._span_frames:
            self._first += counts
            self._first_numbers.append(frame_number)
        self._newest.append((frame_number, counts))

    def first(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Photons per pixel and frame, shape (fine ring,), of the first frames; their first and last number."""
        return self._per_pixel(self._first, len(self._first_numbers)), _span(self._first_numbers)

    def newest(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The same of the newest frames."""
        numbers = [number for number, _ in self._newest]
        counts = sum((counts for _, counts in self._newest), np.zeros(self._partition.fine_rings, np.int64))
        return self._per_pixel(counts, len(numbers)), _span(numbers)

    def whole(self) -> np.ndarray:
        """Photons per pixel and frame of all frames, shape (fine ring,)."""
        return self._per_pixel(self.total, self.frames)

    def gradient(self) -> np.ndarray:
        """Factor mean(m^2) / mean(m)^2 over each ring from the smooth I(q), shape (ring,).

        A slope of I(q) across a ring would look like a static contrast of this size minus one. The smooth I(q) is a
        parabola in ln q through ln I of the ring and its neighbours: the fine rings themselves carry the speckle of
        few pixels, and their own variance would be taken for a slope.
        """
        mean = self.total / self._partition.fine_pixels
        factors = np.ones(self._partition.rings)
        for ring in range(self._partition.rings):
            near = (np.abs(self._partition.ring_of_fine - ring) <= 1) & (mean > 0)
            inside = self._partition.ring_of_fine == ring
            if np.count_nonzero(near) > _PARABOLA:
                smooth = self._smooth(ring, near, inside, mean)
                weight = self._partition.fine_pixels[inside] / self._partition.fine_pixels[inside].sum()
                factors[ring] = (weight @ smooth**2) / (weight @ smooth) ** 2
        return factors

    def _smooth(self, ring: int, near: np.ndarray, inside: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Smooth I(q), up to a factor, at the fine rings of a ring."""
        log_q = np.log(self._partition.fine_q_inv_nm / self._partition.q_inv_nm[ring])
        powers = np.vander(log_q, _PARABOLA)
        weight = np.sqrt(self._partition.fine_pixels[near])
        solution = np.linalg.lstsq(powers[near] * weight[:, None], np.log(mean[near]) * weight, rcond=None)[0]
        exponent = powers[inside] @ solution
        return np.exp(exponent - exponent.max())

    def _per_pixel(self, counts: np.ndarray, frames: int) -> np.ndarray:
        return counts / (self._partition.fine_pixels * max(frames, 1))


def _span(numbers: list[int]) -> tuple[int, int]:
    return (numbers[0], numbers[-1]) if numbers else (0, 0)
