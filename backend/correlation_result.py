"""The full correlation of one series: what ``mento-gui correlate`` computes and a result file holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.snapshot import RingFit


@dataclass(frozen=True, slots=True)
class CorrelationResult:
    """Numbers of one finished series.

    Attributes
    ----------
    series, sample, detector : str
        Names as in the folder tree.
    frames : int
        Frames that went in.
    frame_time_s : float
        Time from frame to frame, seconds.
    lag_frames : ndarray, shape (lag,), int64
        Multi-tau lags in frames.
    g2, g2_err : ndarray, shape (ring, lag), float64
        Ring-averaged, symmetrically normalised g2 and its one-sigma error; nan where there are no pairs.
    q_inv_nm : ndarray, shape (ring,), float64
        Mean q of each ring.
    ring_map : ndarray, shape (y, x), int32
        Ring of each detector pixel from 1; 0 = not used.
    fine_q_inv_nm, fine_intensity : ndarray, shape (fine ring,), float64
        I(q) of the whole series, photons per pixel and frame.
    fine_ring_map : ndarray, shape (y, x), int32
        Fine ring of each detector pixel from 1; 0 = not used.
    ring_counts : ndarray, shape (frame, ring), int64
        Photons per ring and frame.
    frame_numbers : ndarray, shape (frame,), int64
        Position in the series of each row of ``ring_counts``.
    ring_pixels : ndarray, shape (ring,), int64
        Pixels per ring.
    mean_image : ndarray, shape (y, x), float32
        Photons per pixel and frame; nan where masked.
    occurrences : ndarray, shape (ring, 8), int64
        How often a pixel had 0, 1, ... 6, and 7 or more photons in a frame: P(k) before it is divided by its sum.
    contrast, contrast_err : ndarray, shape (ring,), float64
        Speckle contrast of single frames (unbiased) and its error.
    fits : tuple of RingFit or None
        One per ring.
    geometry : dict
        ``distance_m``, ``wavelength_m``, ``pixel_size_m``, ``beam_center_y_px``, ``beam_center_x_px``.
    settings_json, settings_sha256, program_version : str
        How it was made.
    verdict, verdict_why : str
        Final word of the damage indicator.
    notices : tuple of str
        What was odd.
    """

    series: str
    sample: str
    detector: str
    frames: int
    frame_time_s: float
    lag_frames: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray
    q_inv_nm: np.ndarray
    ring_map: np.ndarray
    fine_q_inv_nm: np.ndarray
    fine_intensity: np.ndarray
    fine_ring_map: np.ndarray
    ring_counts: np.ndarray
    frame_numbers: np.ndarray
    ring_pixels: np.ndarray
    mean_image: np.ndarray
    occurrences: np.ndarray
    contrast: np.ndarray
    contrast_err: np.ndarray
    fits: tuple[RingFit | None, ...]
    geometry: dict[str, float]
    settings_json: str
    settings_sha256: str
    program_version: str
    verdict: str
    verdict_why: str
    notices: tuple[str, ...] = field(default=())
