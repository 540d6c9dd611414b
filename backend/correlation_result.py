"""The full correlation of one series: what ``mento-gui correlate`` computes and a result file holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backend.snapshot import RingFit

GOOD_PIXELS_PATH = "/entry/mento_gui/good_pixels"
"""Where a result file has the mask for the next series."""


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
        Multi-tau lags in frames; float64 where frames are uneven: mean lags over the frame time.
    g2, g2_err : ndarray, shape (ring, lag), float64
        Ring-averaged, symmetrically normalised g2 and its one-sigma error; nan where there are no pairs.
    sector_g2 : ndarray, shape (sector, ring, lag), float64
        g2 of each sector of each ring by itself; no sectors where frames are uneven.
    sector_azimuth_deg : ndarray, shape (sector, ring), float64
        Mean direction of each sector on the detector, from the direction of columns towards that of rows, 0 to 360.
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
    good_pixels : ndarray, shape (y, x), uint8
        Mask for the next series: 1 for the good pixels of this one that turned out neither hot nor dead.
    hot_pixels, dead_pixels : ndarray, shape (hot or dead,), int64
        Flat pixels in rings found hot, the worst first, or dead.
    hot_photons, hot_expected : ndarray, shape (hot,), int64 and float64
        What hot pixels counted, and what good ones at the same q did on average.
    hot_found_after : ndarray, shape (hot,), int64
        Frames after which each was first seen to be hot.
    hot_flashing : ndarray, shape (hot,), bool
        Quiet in most frames since.
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
    sector_g2: np.ndarray
    sector_azimuth_deg: np.ndarray
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
    good_pixels: np.ndarray
    hot_pixels: np.ndarray
    hot_photons: np.ndarray
    hot_expected: np.ndarray
    hot_found_after: np.ndarray
    hot_flashing: np.ndarray
    dead_pixels: np.ndarray
    fits: tuple[RingFit | None, ...]
    geometry: dict[str, float]
    settings_json: str
    settings_sha256: str
    program_version: str
    verdict: str
    verdict_why: str
    notices: tuple[str, ...] = field(default=())
