"""Running mean image, I(q) of the first frames and of the newest, I(t)."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor

import numba
import numpy as np

from backend.correlation.run_products import Image
from backend.correlation.word_products import MOST_COUNTED, count_by_frame, in_frame_order
from backend.machine_intrinsics import count_set_bits
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import PixelOrder
from backend.worker_pool import equal_shares, share_out

_LONGEST_TRACE = 2000
_PARABOLA = 3
_SHARES = 16


class MeanImage:
    """Sum of all frames, and of every piece of them on the fine rings.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels in the words.
    fine_of_pixel : ndarray, shape (pixel,), int16
        Fine ring of each pixel, negative outside.
    fine_rings : int
        Number of fine rings.
    pool : Executor or None
        Threads that share the work.
    """

    def __init__(
        self, order: PixelOrder, fine_of_pixel: np.ndarray, fine_rings: int, pool: Executor | None = None
    ) -> None:
        self._order = order
        self._pool = pool
        self._shares = [order.positions_of(share) for share in order.shares(_SHARES)]
        # Few bytes are added to far memory: what could outgrow them is moved to wider sums in time.
        self._recent = np.zeros(order.positions, np.uint32)
        self._most_recent = 0
        self._earlier: np.ndarray | None = None
        # Pixels outside all rings are counted in one row more, so that nobody has to ask.
        self._fine_of_position = np.full(order.positions, fine_rings, np.int16)
        _put_in_order(fine_of_pixel, order.position_of_pixel, self._fine_of_position)
        self._fine_rings = fine_rings
        self.frames = 0

    @property
    def fine_rings(self) -> int:
        """Number of fine rings."""
        return self._fine_rings

    def target(self, most: int) -> Image:
        """For a walk over the photons that adds them to the image itself, and their frames to :attr:`frames`.

        most : int
            No pixel gets more than this before it is asked again.
        """
        if self._most_recent + most > np.iinfo(np.uint32).max:
            self._earlier = self._whole()
            self._recent[:] = 0
            self._most_recent = 0
        self._most_recent += most
        return Image(self._recent, self._fine_of_position)

    @property
    def counts(self) -> np.ndarray:
        """Photons per flat detector pixel; uint32 as long as no pixel can have more, then int64."""
        return self._order.to_pixels(self._recent if self._earlier is None else self._whole())

    def _whole(self) -> np.ndarray:
        """Photons per position, int64."""
        return self._recent.astype(np.int64) if self._earlier is None else self._earlier + self._recent

    def binned(self, shape_yx: tuple[int, int], binning: int) -> np.ndarray:
        """Photons in squares of ``binning`` pixels, int64; an incomplete last row or column counts as it is."""
        total = np.zeros((-(-shape_yx[0] // binning), -(-shape_yx[1] // binning)), np.int64)
        position_yx = self._order.position_of_pixel.reshape(shape_yx)

        def work(share: tuple[int, int]) -> None:
            _add_squares(self._recent, position_yx, binning, share, total)
            if self._earlier is not None:
                _add_squares(self._earlier, position_yx, binning, share, total)

        share_out(self._pool, work, equal_shares(len(total), _SHARES))
        return total

    def add(self, words: PhotonWords, mask: int, frames: int) -> np.ndarray:
        """Add the frames of the word that ``mask`` has a bit for; returns their photons per fine ring, int64."""
        image = self.target(WORD_FRAMES * ((1 << words.planes) - 1))

        def work(share: tuple[int, int]) -> np.ndarray:
            fine = np.zeros(self._fine_rings + 1, np.int64)
            now, many = words.now, words.many_now
            _add_counts(*share, now, many, words.planes, np.uint64(mask), *image, fine)
            return fine

        self.frames += frames
        return np.sum(share_out(self._pool, work, self._shares), axis=0)[: self._fine_rings]


@numba.njit(nogil=True, cache=True)
def _put_in_order(
    fine_of_pixel: np.ndarray, position_of_pixel: np.ndarray, fine_of_position: np.ndarray
) -> None:
    """Write the fine ring of each pixel that has one to its position."""
    for pixel in range(fine_of_pixel.size):
        if fine_of_pixel[pixel] >= 0:
            fine_of_position[position_of_pixel[pixel]] = fine_of_pixel[pixel]


@numba.njit(nogil=True, cache=True)
def _add_squares(
    counts: np.ndarray, position_yx: np.ndarray, binning: int, rows: tuple[int, int], total: np.ndarray
) -> None:
    """Add to the squares of some rows of squares."""
    height, width = position_yx.shape
    for row in range(rows[0], rows[1]):
        sums = total[row]
        for y in range(row * binning, min((row + 1) * binning, height)):
            positions = position_yx[y]
            for square in range(sums.size):
                found = np.int64(0)
                for x in range(square * binning, min((square + 1) * binning, width)):
                    found += np.int64(counts[positions[x]])
                sums[square] += found


@numba.njit(nogil=True, cache=True)
def _add_counts(
    begin: int,
    end: int,
    words: np.ndarray,
    many: np.ndarray,
    planes: int,
    mask: np.uint64,
    image: np.ndarray,
    fine_of_position: np.ndarray,
    fine: np.ndarray,
) -> None:
    total = np.int64(0)
    ring = np.int64(fine_of_position[begin])
    for position in range(begin, end):
        found = count_set_bits(words[0, position] & mask)
        if many[position]:
            for plane in range(1, planes):
                found += count_set_bits(words[plane, position] & mask) << plane
        image[position] += found
        # Neighbours are mostly of one ring.
        if fine_of_position[position] != ring:
            fine[ring] += total
            total = np.int64(0)
            ring = np.int64(fine_of_position[position])
        total += found
    fine[ring] += total


def photons_per_frame(words: PhotonWords, first: int, last: int) -> np.ndarray:
    """Photons of each of the frames ``first`` to ``last`` (excluded) of the word, over all pixels; int64."""
    counts = np.zeros(64, np.int64)
    for plane in range(words.planes):
        _add_photons(words.now[plane], plane, counts)
    return in_frame_order(counts)[first:last]


@numba.njit(nogil=True, cache=True)
def _add_photons(words: np.ndarray, weight: int, counts: np.ndarray) -> None:
    counters = np.zeros(8, np.uint64)
    for begin in range(0, words.size, MOST_COUNTED):
        count_by_frame(words[begin : begin + MOST_COUNTED], counters)
        values = counters.view(np.uint8)
        for i in range(64):
            counts[i] += np.int64(values[i]) << weight


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
        Fewest frames that "first" and "newest" mean; whole pieces are taken.
    """

    def __init__(self, partition: RingPartition, span_frames: int) -> None:
        self._partition = partition
        self._span_frames = span_frames
        self._first = np.zeros(partition.fine_rings, np.int64)
        self._first_numbers: list[int] = []
        self._newest: deque[tuple[list[int], np.ndarray]] = deque()
        self.total = np.zeros(partition.fine_rings, np.int64)
        self.frames = 0
        self._smoothings: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(self, frame_numbers: list[int], frames: int, counts: np.ndarray) -> None:
        """Add ``frames`` frames by their photons per fine ring, shape (fine ring,).

        frame_numbers : those of the frames that had photons; frames without beam count neither as first nor as newest.
        """
        self.total += counts
        self.frames += frames
        if not frame_numbers:
            return
        if len(self._first_numbers) < self._span_frames:
            self._first += counts
            self._first_numbers.extend(frame_numbers)
        self._newest.append((frame_numbers, counts))
        held = sum(len(numbers) for numbers, _ in self._newest)
        while held - len(self._newest[0][0]) >= self._span_frames:
            held -= len(self._newest.popleft()[0])

    def first(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Photons per pixel and frame, shape (fine ring,), of the first frames; their first and last number."""
        return self._per_pixel(self._first, len(self._first_numbers)), _span(self._first_numbers)

    def newest(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The same of the newest frames."""
        numbers = [number for numbers, _ in self._newest for number in numbers]
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
        with np.errstate(divide="ignore"):
            log_mean = np.log(mean)
        factors = np.ones(self._partition.rings)
        for ring in range(self._partition.rings):
            near, inside, smoothing = self._smoothing(ring, mean > 0)
            if smoothing.size:
                exponent = smoothing @ log_mean[near]
                smooth = np.exp(exponent - exponent.max())
                weight = self._partition.fine_pixels[inside] / self._partition.fine_pixels[inside].sum()
                factors[ring] = (weight @ smooth**2) / (weight @ smooth) ** 2
        return factors

    def _smoothing(self, ring: int, lit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which fine rings are near a ring and inside it, and the matrix that takes ln I of the former to the smooth
        ln I of the latter; it is empty where too few are lit.

        It changes only when another fine ring has seen its first photon.
        """
        around = np.abs(self._partition.ring_of_fine - ring) <= 1
        near = np.flatnonzero(around & lit)
        known = self._smoothings.get(ring)
        if known is not None and np.array_equal(known[0], near):
            return known
        inside = np.flatnonzero(self._partition.ring_of_fine == ring)
        smoothing = np.empty((0, 0))
        if near.size > _PARABOLA:
            log_q = np.log(self._partition.fine_q_inv_nm / self._partition.q_inv_nm[ring])
            powers = np.vander(log_q, _PARABOLA)
            weight = np.sqrt(self._partition.fine_pixels[near])
            smoothing = powers[inside] @ (np.linalg.pinv(powers[near] * weight[:, None]) * weight)
        self._smoothings[ring] = near, inside, smoothing
        return self._smoothings[ring]

    def _per_pixel(self, counts: np.ndarray, frames: int) -> np.ndarray:
        return counts / (self._partition.fine_pixels * max(frames, 1))


def _span(numbers: list[int]) -> tuple[int, int]:
    return (numbers[0], numbers[-1]) if numbers else (0, 0)
