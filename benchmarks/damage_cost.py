"""Processor time of the damage verdict per frame, beyond the ring sums: ``python -m benchmarks.damage_cost``.

Twenty frames a second have the shortest windows, and 1275 frames the most of them, and so the most work per frame; fast
series have windows of at least 0.1 s.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from backend.damage.damage_detector import DamageDetector
from backend.settings import DamageSettings
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle
from benchmarks.damage_series import MODULE

PIXELS = 400


def milliseconds_per_frame(
    rings: int, sectors: int, lags: int, frames: int, frame_time_s: float, repeats: int
) -> float:
    """Least processor time of some series of this shape, without damage."""
    lag_frames = np.arange(1, lags + 1)
    pixels = np.full(rings, PIXELS)
    photons = np.full((frames, rings), 0.2)
    gamma = np.broadcast_to(np.geomspace(0.05, 0.3, rings), photons.shape)
    plan = RingSpecklePlan(
        photons, gamma, np.full(photons.shape, 0.12), pixels, pixels, sectors, MODULE, None
    )
    sums = simulate_ring_speckle(plan, lag_frames, seed=1)
    counts, products = sums.sector_counts, sums.sector_products
    dose_s = frame_time_s * np.arange(1, frames + 1)
    spent = []
    for _ in range(repeats):
        detector = DamageDetector(
            DamageSettings(), np.geomspace(0.01, 0.1, rings), plan.sector_pixels, pixels.astype(float), lag_frames,
            frame_time_s, frames,
        )  # fmt: skip
        before = time.process_time()
        detector.add(counts, products, dose_s)
        spent.append(time.process_time() - before)
    return 1000 * min(spent) / frames


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rings", type=int, default=30)
    parser.add_argument("--sectors", type=int, default=1, help="of each ring (default 1: ring sums only)")
    parser.add_argument("--lags", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    # As in the program: the matrices are small, and threads would wait for each other.
    threadpool_limits(1, user_api="blas")
    for frame_time_s in (0.05, 0.001):
        for frames in (400, 800, 1275, 2550, 10_000):
            cost = milliseconds_per_frame(
                wanted.rings, wanted.sectors, wanted.lags, frames, frame_time_s, wanted.repeats
            )
            print(
                f"{wanted.rings} rings of {wanted.sectors}, {wanted.lags} lags, {frames} frames of {frame_time_s} s: "
                f"{cost:.3f} ms per frame"
            )


if __name__ == "__main__":
    main()
