"""How many frames a damage window has: what staff want, and more for fast or long series."""

from __future__ import annotations

import numpy as np
import pytest

from backend.damage.damage_detector import DamageDetector
from backend.settings import DamageSettings


def frames_per_window(wanted: int, frame_time_s: float, expected_frames: int | None) -> int:
    rings = np.ones(3)
    settings = DamageSettings(window_frames=wanted)
    lags = np.array([1, 2])
    detector = DamageDetector(settings, rings, 100 * rings, 10 * rings, lags, frame_time_s, expected_frames)
    return detector.frames_per_window


@pytest.mark.parametrize(
    ("wanted", "frame_time_s", "expected_frames", "frames"),
    [
        (10, 1.0, 600, 10),
        (10, 0.01, 600, 10),
        (10, 0.02, None, 10),
        (10, 0.005, None, 20),
        (7, 0.005, None, 21),
        (10, 0.001, None, 100),
        (10, 0.001, 20_000, 100),
        # A short fast series still has about a hundred windows, and never fewer frames in one than wanted.
        (10, 0.001, 3000, 30),
        (10, 0.001, 500, 10),
        # A long one has fewer than 256: then they would be doubled.
        (5, 1.0, 1275, 5),
        (5, 1.0, 1280, 6),
        (10, 1.0, 25_600, 101),
    ],
)
def test_a_window_is_a_tenth_of_a_second_or_what_staff_want(
    wanted: int, frame_time_s: float, expected_frames: int | None, frames: int
) -> None:
    assert frames_per_window(wanted, frame_time_s, expected_frames) == frames
