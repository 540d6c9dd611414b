"""Streaming speckle movie whose g2, contrast, I(q) and beam noise are known exactly."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from backend.simulation.detector_faults import DetectorFaults
from backend.simulation.detector_model import MASK_DEAD, RADIUS_BINS_PER_PIXEL
from backend.simulation.relaxation import relaxation_mixture
from backend.simulation.series_plan import SeriesPlan, SimulationError
from backend.simulation.speckle_kernels import (
    READS_MAXIMUM,
    READS_ZERO,
    add_intensity,
    advance_field,
    count_photons,
)

# A pool field has a finite number of speckles, so its own contrast is off by a little, and fast rings show it in every
# frame. Enough pool pixels keep that below the photon noise; the bounds keep memory and start-up time in hand.
_POOL_PIXELS = 8_000_000
_FEWEST_POOL_FIELDS, _MOST_POOL_FIELDS = 3, 32
INSTANTS_APART = 2 / 3
"""Of the exposure: then the mean of two instants loses as much contrast as that of all, to first order in the decay."""


class SpeckleMovie:
    """Frames of one plan, one after the other.

    A frame is the mean of two instants, two thirds of the exposure apart: what moves meanwhile blurs as it does during
    the exposure, to first order in the decay. Its contrast is (1 + exp(-2 d)) / 2 of that of an instant, that of two
    frames exp(-2 Gamma lag) (1 + cosh(2 d)) / 2, with d the decay of the field between the instants.

    Every pixel carries a complex Gaussian field that follows an Ornstein-Uhlenbeck process with the relaxation
    rate of its q: |g1| = exp(-integral of Gamma dt) holds exactly, also while Gamma changes. Neighbouring pixels
    share a speckle because the innovations are band-limited: each is one of a few periodic random fields, shifted
    and turned in phase at random. Photons are Poisson counts of the intensity.
    """

    def __init__(self, plan: SeriesPlan) -> None:
        self._plan = plan
        self.frame = 0
        streams = map(np.random.default_rng, np.random.SeedSequence(plan.seed).spawn(5))
        self._innovation_rng, pool_rng, self._photon_rng, self._beam_rng, fault_rng = streams
        self.pixel_mask = plan.detector.pixel_mask()
        self._faults = DetectorFaults(plan.scenario, self.pixel_mask == 0, plan.frames, fault_rng)
        defect_reads = np.where(self.pixel_mask == MASK_DEAD, READS_ZERO, READS_MAXIMUM)
        self._fixed = np.where(self.pixel_mask == 0, 0, defect_reads).astype(np.uint8)
        self._radius_bin = plan.detector.radius_bin()
        self._mixture = relaxation_mixture(plan.exponent)
        self._prepare_rings()
        shape = plan.detector.shape_yx
        self._fields = np.zeros((plan.modes, len(self._mixture.rates), 2, *shape), np.float32)
        wanted = -(-_POOL_PIXELS // (shape[0] * shape[1]))
        pool_fields = min(_MOST_POOL_FIELDS, max(_FEWEST_POOL_FIELDS, wanted))
        self._pool = innovation_pool(shape, plan.speckle_size_px, pool_fields, pool_rng)
        self._intensity = np.empty(shape, np.float32)
        self._beam_fluctuation = 0.0

    def _prepare_rings(self) -> None:
        """q, relaxation rate and mean counts of every radius bin."""
        plan = self._plan
        detector = plan.detector
        radius_px = np.arange(int(self._radius_bin.max()) + 1) / RADIUS_BINS_PER_PIXEL
        self._q_inv_nm = detector.q_inv_nm(radius_px)
        self._gamma_per_s = plan.gamma_per_s(self._q_inv_nm)
        shadow = np.where(radius_px < detector.beam_stop_radius_px, detector.beam_stop_transmission, 1.0)
        relative = plan.form_factor(self._q_inv_nm) * shadow
        pixels = np.bincount(self._radius_bin[self.pixel_mask == 0], minlength=len(radius_px))
        if not pixels.any():
            raise SimulationError(
                f"The detector {detector.name} has no good pixel.", try_this="Give it fewer defective pixels."
            )
        self._start_counts = relative * (
            plan.transmission * plan.photons_per_pixel * pixels.sum() / (relative @ pixels)
        )

    def next_frame(self, out: np.ndarray | None = None) -> np.ndarray:
        """The next frame, shape (y, x), the plan's pixel type, photons.

        Gaps and noisy pixels read the maximum of the type, dead ones read zero. ``out``, if given, is filled and
        returned.
        """
        plan = self._plan
        counts = np.empty(plan.detector.shape_yx, plan.dtype) if out is None else out
        self._expose()
        keys = self._photon_rng.integers(0, 2**32, size=2, dtype=np.uint32)
        count_photons(
            self._intensity,
            self.mean_counts(self.frame, self._next_beam_factor()),
            self._radius_bin,
            self._fixed,
            keys[0],
            keys[1],
            counts,
        )
        self._faults.spoil(counts, self.frame)
        self.frame += 1
        return counts

    def mean_counts(self, frame: int, beam_factor: float = 1.0) -> np.ndarray:
        """Expected photons per pixel of every radius bin (quarters of a pixel) at this frame, float32."""
        plan = self._plan
        change = plan.scenario.form_factor_change(self._q_inv_nm, frame, plan.frames)
        flux = plan.scenario.flux_factor(frame, plan.frames) * beam_factor
        return (self._start_counts * change * flux).astype(np.float32)

    def _expose(self) -> None:
        """The mean intensity of the instants of the next frame."""
        plan = self._plan
        within_s = INSTANTS_APART * plan.count_time_s
        afresh = self.frame == 0 or plan.scenario.decorrelates(self.frame, plan.frames)
        coherent_share = math.sqrt(plan.contrast * plan.modes)
        amplitudes = np.sqrt(self._mixture.weights).astype(np.float32)
        self._intensity[:] = 1.0 - coherent_share
        self._advance_fields(plan.frame_time_s - within_s, afresh)
        add_intensity(self._fields, amplitudes, 0.5 * coherent_share, self._intensity)
        self._advance_fields(within_s, False)
        add_intensity(self._fields, amplitudes, 0.5 * coherent_share, self._intensity)

    def _advance_fields(self, seconds: float, afresh: bool) -> None:
        plan = self._plan
        gamma_step = plan.scenario.gamma_factor(self.frame, plan.frames) * seconds * self._gamma_per_s
        moved_on = plan.scenario.renewal_per_frame(plan.frames) * seconds / plan.frame_time_s
        rng = self._innovation_rng
        _, _, pool_rows, pool_columns = self._pool.shape
        for component, rate in enumerate(self._mixture.rates):
            keep = np.zeros_like(gamma_step) if afresh else np.exp(-rate * gamma_step - moved_on)
            renew = np.sqrt(1.0 - keep**2)
            for mode in range(plan.modes):
                advance_field(
                    self._fields[mode, component],
                    self._pool[rng.integers(len(self._pool))],
                    int(rng.integers(pool_rows)),
                    int(rng.integers(pool_columns)),
                    rng.uniform(0.0, 2.0 * math.pi),
                    keep.astype(np.float32),
                    renew.astype(np.float32),
                    self._radius_bin,
                )

    def _next_beam_factor(self) -> float:
        """Relative beam intensity of this frame: first-order autoregressive noise, never negative."""
        plan = self._plan
        memory = 0.0 if self.frame == 0 else math.exp(-plan.frame_time_s / plan.i0_correlation_s)
        fresh = math.sqrt(1.0 - memory**2) * self._beam_rng.standard_normal()
        self._beam_fluctuation = memory * self._beam_fluctuation + fresh
        return max(0.0, 1.0 + plan.i0_noise_rms * self._beam_fluctuation)


def innovation_pool(
    shape_yx: tuple[int, int], speckle_size_px: float, fields: int, rng: np.random.Generator
) -> np.ndarray:
    """Periodic band-limited complex Gaussian fields of unit mean intensity.

    Parameters
    ----------
    shape_yx : tuple of int
        Smallest size; the fields are a little larger where that makes the transform fast.
    speckle_size_px : float
        Full width at half maximum of the intensity correlation, a Gaussian here.

    Returns
    -------
    ndarray, shape (field, 2, y, x), float32
        Real and imaginary part.
    """
    rows, columns = (fft.next_fast_len(length) for length in shape_yx)
    # |mu(d)|^2 = exp(-d^2 / s^2) with s = FWHM / (2 sqrt(ln 2)). The transform of mu is the power spectrum of the
    # field; the filter is its root.
    width_px = speckle_size_px / (2.0 * math.sqrt(math.log(2.0)))
    frequency_y = fft.fftfreq(rows)[:, None].astype(np.float32)
    frequency_x = fft.fftfreq(columns)[None, :].astype(np.float32)
    pass_band = np.exp(-((np.pi * width_px) ** 2) * (frequency_y**2 + frequency_x**2)).astype(np.float32)
    pool = np.empty((fields, 2, rows, columns), np.float32)
    for index in range(fields):
        spectrum = np.empty((rows, columns), np.complex64)
        spectrum.real = rng.standard_normal((rows, columns), dtype=np.float32)
        spectrum.imag = rng.standard_normal((rows, columns), dtype=np.float32)
        field = fft.ifft2(spectrum * pass_band, overwrite_x=True)
        power = np.mean(field.real.astype(np.float64) ** 2 + field.imag.astype(np.float64) ** 2)
        pool[index, 0] = field.real / math.sqrt(power)
        pool[index, 1] = field.imag / math.sqrt(power)
    return pool
