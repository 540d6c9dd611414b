"""Ring counts and lagged products of small simulated speckle movies, made fast: for many series per second.

Every pixel is a speckle of its own: a complex field that relaxes as an Ornstein-Uhlenbeck process, of which the
intensity 1 + sqrt(contrast) (|E|^2 - 1) gives Poisson counts. So g2 - 1 = contrast exp(-2 lag / tau) exactly, also
while tau changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numba
import numpy as np

from backend.damage.assessment import Assessment
from backend.damage.damage_detector import DamageDetector
from backend.settings import DamageSettings

LAGS = np.array((1, 2, 4, 8, 16))
FRAME_TIME_S = 0.05


@dataclass(frozen=True, slots=True)
class RingStream:
    """One series as the damage detector gets it.

    ``counts``: shape (frame, ring); ``products``: shape (frame, ring, lag); ``pixels`` per ring.
    """

    counts: np.ndarray
    products: np.ndarray
    pixels: int

    @property
    def q_inv_nm(self) -> np.ndarray:
        """Mean q of the rings, shape (ring,)."""
        return 0.02 * 1.3 ** np.arange(self.counts.shape[1])


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a series does; laws in time have the shape (frame,) or (frame, ring), 1 = as at the start.

    ``tau_c_frames`` is the field's correlation time of the middle ring; the rate goes with q squared.
    """

    frames: int = 400
    rings: int = 6
    pixels: int = 800
    photons_per_pixel: float = 0.2
    contrast: np.ndarray | float = 0.12
    tau_c_frames: float = 6.0
    beam: np.ndarray | float = 1.0
    structure: np.ndarray | float = 1.0
    rate: np.ndarray | float = 1.0
    lags: tuple[int, ...] = field(default=tuple(LAGS.tolist()))


def ring_stream(plan: StreamPlan, seed: int) -> RingStream:
    """The series of ``plan``; the same seed gives the same series."""
    shape = (plan.frames, plan.rings)
    form = np.geomspace(1.6, 0.5, plan.rings)
    beam = np.asarray(plan.beam, float)
    mean = plan.photons_per_pixel * form * np.broadcast_to(plan.structure, shape)
    mean = mean * (beam[:, None] if beam.ndim == 1 else beam)
    q_squared = np.geomspace(0.5, 2.0, plan.rings)
    rate = np.asarray(plan.rate, float)
    rate = (rate[:, None] if rate.ndim == 1 else rate) * q_squared / plan.tau_c_frames
    memory = np.exp(-np.broadcast_to(rate, shape))
    modulation = np.sqrt(np.broadcast_to(plan.contrast, plan.frames))
    counts, products = _stream(mean, memory, plan.pixels, modulation, np.array(plan.lags), seed)
    return RingStream(counts, products, plan.pixels)


@numba.njit(cache=True)
def _stream(
    mean: np.ndarray, memory: np.ndarray, pixels: int, modulation: np.ndarray, lags: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    np.random.seed(seed)
    frames, rings = mean.shape
    counts = np.zeros((frames, rings), np.int64)
    products = np.zeros((frames, rings, len(lags)), np.int64)
    slots = lags.max() + 1
    recent = np.zeros(slots, np.int64)
    root_half = np.sqrt(0.5)
    for ring in range(rings):
        for _ in range(pixels):
            real = root_half * np.random.normal()
            imaginary = root_half * np.random.normal()
            for frame in range(frames):
                if frame > 0:
                    keep = memory[frame, ring]
                    renew = root_half * np.sqrt(1 - keep * keep)
                    real = keep * real + renew * np.random.normal()
                    imaginary = keep * imaginary + renew * np.random.normal()
                intensity = 1 + modulation[frame] * (real * real + imaginary * imaginary - 1)
                # Poisson by counting how many uniform factors fit above exp(-mean).
                limit = np.exp(-mean[frame, ring] * intensity)
                count = 0
                product = np.random.random()
                while product > limit:
                    count += 1
                    product *= np.random.random()
                recent[frame % slots] = count
                if count:
                    counts[frame, ring] += count
                    for index in range(len(lags)):
                        if lags[index] <= frame:
                            # Of n photons in a frame each may pair with n - 1.
                            others = recent[(frame - lags[index]) % slots] - (lags[index] == 0)
                            products[frame, ring, index] += count * others
    return counts, products


def restless_beam(frames: int, rng: np.random.Generator, *, dip: bool = False) -> np.ndarray:
    """Incident intensity, shape (frame,): 3 % slow noise, 0.5 % white, drift up to 5 %, at wish a dip of 20-80 %."""
    slow = np.zeros(frames)
    memory = np.exp(-1 / 40)
    for frame in range(1, frames):
        slow[frame] = memory * slow[frame - 1] + np.sqrt(1 - memory**2) * rng.normal()
    beam = 1 + 0.03 * slow + 0.005 * rng.normal(size=frames)
    beam *= 1 + rng.uniform(-0.05, 0.05) * np.linspace(0, 1, frames)
    if dip:
        first = int(rng.integers(0, frames - 60))
        beam[first : first + int(rng.integers(10, 60))] *= rng.uniform(0.2, 0.8)
    return np.maximum(beam, 0.0)


def detector_for(
    stream: RingStream, expected_frames: int | None = None, lags: np.ndarray = LAGS, **changes: float
) -> DamageDetector:
    """A detector that knows the geometry of the stream; ``changes`` are settings. Planned: the length it has.

    Windows of ten frames, for the tests count them.
    """
    rings = stream.counts.shape[1]
    pixels = np.full(rings, stream.pixels)
    planned = len(stream.counts) if expected_frames is None else expected_frames
    return DamageDetector(
        DamageSettings(**({"systematic_rms_percent": 0.0, "window_frames": 10} | changes)),
        stream.q_inv_nm,
        pixels,
        pixels.astype(float),
        lags,
        FRAME_TIME_S,
        planned or None,
    )


def judge(stream: RingStream, detector: DamageDetector | None = None) -> list[Assessment]:
    """All assessments of a stream, fed at once; the dose is the frame count."""
    detector = detector_for(stream) if detector is None else detector
    return detector.add(stream.counts, stream.products, np.arange(1.0, len(stream.counts) + 1))
