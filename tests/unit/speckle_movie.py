"""Small movies of correlated speckle with known contrast, speckle size and relaxation rate, for tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.photon_events import EventBatch, RingPartition


class SpeckleMovie:
    """Frames of photon counts from complex Gaussian fields that relax as an Ornstein-Uhlenbeck process.

    g1(t) = exp(-rate t), so g2 - 1 = exp(-2 rate t) / modes.

    Parameters
    ----------
    mean : ndarray, shape (y, x)
        Photons per pixel and frame.
    rate_per_frame : ndarray or float
        Relaxation rate of each pixel; 0 is static speckle.
    modes : int
        Independent fields whose intensities add up; the contrast is 1 / modes.
    speckle_sigma_px : float
        Width of the Gaussian that smooths the field; 0 = every pixel its own speckle.
    """

    def __init__(
        self,
        mean: np.ndarray,
        rate_per_frame: np.ndarray | float,
        modes: int,
        generator: np.random.Generator,
        speckle_sigma_px: float = 0.0,
    ) -> None:
        self._mean = mean
        self._memory = np.exp(-np.broadcast_to(np.asarray(rate_per_frame, np.float64), mean.shape))
        self._generator = generator
        self._shape = (modes, *mean.shape)
        rows, columns = (np.fft.fftfreq(length) for length in mean.shape)
        transfer = np.exp(-2 * (np.pi * speckle_sigma_px) ** 2 * (rows[:, None] ** 2 + columns**2))
        self._transfer = transfer / np.sqrt((transfer**2).mean()) if speckle_sigma_px else None
        self._field = self._new_field()

    def _new_field(self) -> np.ndarray:
        field = self._generator.normal(size=self._shape) + 1j * self._generator.normal(size=self._shape)
        if self._transfer is not None:
            field = np.fft.ifft2(np.fft.fft2(field) * self._transfer)
        return field / np.sqrt(2 * self._shape[0])

    def intensity(self) -> np.ndarray:
        """Mean photons per pixel in the next frame, shape (y, x)."""
        now = (np.abs(self._field) ** 2).sum(axis=0) * self._mean
        if np.any(self._memory < 1):
            self._field = self._memory * self._field + np.sqrt(1 - self._memory**2) * self._new_field()
        return now

    def relax_by(self, exponent: float) -> None:
        """From now on the field of the next frame has exp(-exponent) of that of this one."""
        self._memory = np.full_like(self._memory, np.exp(-exponent))

    def frames(self, number: int, i0_noise: float = 0.0) -> Iterator[np.ndarray]:
        """Counts, shape (y, x), uint32; ``i0_noise`` is the relative rms of the incident intensity."""
        for _ in range(number):
            incident = max(1 + i0_noise * self._generator.normal(), 0.0)
            yield self._generator.poisson(incident * self.intensity()).astype(np.uint32)


def speckle_area_px(speckle_sigma_px: float) -> float:
    """Sum of |g1|^2 over all distances of the Gaussian-smoothed field: about 2 pi sigma^2."""
    distance = np.arange(-50, 51)
    return float(np.exp(-(distance**2) / (2 * speckle_sigma_px**2)).sum() ** 2)


def events_of(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and counts of a frame of any shape."""
    pixel = np.flatnonzero(frame)
    return pixel.astype(np.uint32), frame.ravel()[pixel].astype(np.uint32)


def batch_of(frames: np.ndarray) -> EventBatch:
    """Event batch of frames, shape (frame, y, x), numbered from 0."""
    parts = [events_of(frame) for frame in frames]
    return EventBatch(
        frame_numbers=np.arange(len(frames), dtype=np.int64),
        offset=np.cumsum([0, *(pixel.size for pixel, _ in parts)]).astype(np.int64),
        pixel=np.concatenate([pixel for pixel, _ in parts]),
        count=np.concatenate([count for _, count in parts]),
        saturated_pixel=np.empty(0, np.uint32),
    )


def block_partition(
    shape_yx: tuple[int, int], rings: int, sectors: int = 6, fine_per_ring: int = 2, unused: int = 0
) -> RingPartition:
    """Rings that are strips of rows, sectors that are strips of columns; the first ``unused`` pixels in none."""
    rows, columns = np.indices(shape_yx)
    fine = rows * (rings * fine_per_ring) // shape_yx[0]
    ring = fine // fine_per_ring
    cell = (ring * sectors + columns * sectors // shape_yx[1]).ravel().astype(np.int16)
    fine = fine.ravel().astype(np.int16)
    cell[:unused] = fine[:unused] = -1
    inside = cell >= 0
    # Every fine ring is 3 % further out than the one before, as on a real detector.
    fine_q_inv_nm = 0.01 * 1.03 ** np.arange(rings * fine_per_ring)
    q_inv_nm = np.sqrt((fine_q_inv_nm.reshape(rings, fine_per_ring) ** 2).mean(axis=1))
    return RingPartition(
        shape_yx=shape_yx,
        rings=rings,
        sectors=sectors,
        fine_rings=rings * fine_per_ring,
        cell_of_pixel=cell,
        fine_of_pixel=fine,
        ring_of_fine=np.repeat(np.arange(rings), fine_per_ring).astype(np.int16),
        cell_pixels=np.bincount(cell[inside], minlength=rings * sectors).reshape(rings, sectors),
        fine_pixels=np.bincount(fine[inside], minlength=rings * fine_per_ring),
        q_inv_nm=q_inv_nm,
        fine_q_inv_nm=fine_q_inv_nm,
        ring_edges_px=np.stack([np.arange(rings), np.arange(rings) + 1.0], axis=1),
        beam_center_yx_px=(0.0, 0.0),
    )
