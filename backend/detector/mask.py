"""Which pixels are good: neither marked by the detector, nor at a gap, nor hot, nor masked by staff."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import h5py
import numba
import numpy as np
from scipy import ndimage

from backend.correlation_result import GOOD_PIXELS_PATH
from backend.detector.polar_kernels import add_light_of_groups
from backend.errors import SettingsError
from backend.frames import DetectorInfo
from backend.photon_events import EventBatch
from backend.settings import MaskSettings

_FRAMES_TO_BE_HOT = 3


@dataclass(frozen=True, slots=True)
class PixelMask:
    """Good pixels and how many each cause took away; ``good`` has shape (y, x), bool."""

    good: np.ndarray
    marked_by_detector: int
    at_type_maximum: int
    next_to_gaps: int
    from_file: int
    hot: int = 0


def load_mask_file(path: Path, shape_yx: tuple[int, int]) -> np.ndarray:
    """Good pixels from a ``.npy`` file (1 or true = good) or from the result file of a series; shape (y, x), bool.

    Raises
    ------
    SettingsError
        The file cannot be read or is not of the detector's shape.
    """
    try:
        mask = _good_pixels_of_result(path) if h5py.is_hdf5(path) else np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError) as error:
        raise SettingsError(
            f"The mask file {path} cannot be read: {error}.",
            still_works="The mask of the detector itself is used.",
            try_this="Save the mask with numpy.save, or take a result file, and give its path in the settings, section "
            "[mask].",
        ) from error
    if not isinstance(mask, np.ndarray):
        mask.close()
        raise SettingsError(
            f"The mask file {path} is an archive of several arrays.",
            still_works="The mask of the detector itself is used.",
            try_this="Save the one array of the mask with numpy.save.",
        )
    if mask.shape != shape_yx:
        raise SettingsError(
            f"The mask file {path} has the shape {mask.shape}, the detector {shape_yx}.",
            still_works="The mask of the detector itself is used.",
            try_this="Use a mask of the detector's shape with 1 for good pixels.",
        )
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise SettingsError(
            f"The mask file {path} holds other values than 0 and 1 ({mask.dtype}).",
            still_works="The mask of the detector itself is used.",
            try_this="Save 1 for good pixels and 0 for all others.",
        )
    return mask.astype(bool)


def _good_pixels_of_result(path: Path) -> np.ndarray:
    """Mask with the hot and dead pixels that were found in a whole series left out as well."""
    with h5py.File(path, "r", locking=False) as file:
        return np.asarray(file[GOOD_PIXELS_PATH][()])


def build_mask(
    info: DetectorInfo, settings: MaskSettings, always_at_maximum: np.ndarray, extra: np.ndarray | None
) -> PixelMask:
    """Mask before any photon is counted.

    Parameters
    ----------
    always_at_maximum : ndarray, shape (pixel,), bool
        Pixels at the type's maximum in every frame looked at: gaps and dead pixels whether marked or not.
    extra : ndarray or None, shape (y, x), bool
        Good pixels according to staff.
    """
    marked = info.pixel_mask if info.pixel_mask is not None else np.zeros(info.shape_yx, bool)
    bad = marked | always_at_maximum.reshape(info.shape_yx)
    at_maximum = int(np.count_nonzero(bad & ~marked))
    margin = _gap_margin(bad, settings.gap_margin_px) & ~bad
    bad |= margin
    by_staff = np.zeros(info.shape_yx, bool) if extra is None else ~extra & ~bad
    return PixelMask(
        good=~(bad | by_staff),
        marked_by_detector=int(np.count_nonzero(marked)),
        at_type_maximum=at_maximum,
        next_to_gaps=int(np.count_nonzero(margin)),
        from_file=int(np.count_nonzero(by_staff)),
    )


def _gap_margin(bad: np.ndarray, margin_px: int) -> np.ndarray:
    """Pixels near module gaps: rows or columns that are bad along their whole length."""
    near = np.zeros(bad.shape, bool)
    if margin_px == 0:
        return near
    rows = ndimage.binary_dilation(bad.all(axis=1), iterations=margin_px)
    columns = ndimage.binary_dilation(bad.all(axis=0), iterations=margin_px)
    near[rows, :] = True
    near[:, columns] = True
    return near


def hot_pixels(events: EventBatch, ring_of_pixel: np.ndarray, tail: float) -> np.ndarray:
    """Flat pixels whose counts are too improbable for their ring in more than three frames; int64, ascending.

    The tail is that of thermal light (Bose-Einstein, one mode), the widest distribution speckle can have, so a
    bright slow speckle is not taken for a hot pixel: P(n >= k) = (m / (1 + m))^k for mean m.

    Parameters
    ----------
    ring_of_pixel : ndarray, shape (pixel,), int
        Ring of each pixel, or any other groups of like mean intensity; pixels with -1 are not judged.
    tail : float
        Probability per pixel and frame below which a count is suspicious.
    """
    frames = len(events.frame_numbers)
    if frames <= _FRAMES_TO_BE_HOT:
        return np.empty(0, np.int64)
    # The last entry is that of the pixels that are not judged, which have number -1.
    rings = int(ring_of_pixel.max(initial=-1)) + 1
    ring_pixels, ring_counts = _pixels_of_rings(ring_of_pixel, rings + 1), np.zeros(rings + 1)
    add_light_of_groups(ring_of_pixel, events.pixel, events.count, ring_counts)
    # The median over the pixels would be zero at low counts; a hot pixel hardly moves the mean of thousands.
    mean = np.maximum(ring_counts / np.maximum(ring_pixels, 1) / frames, 1.0 / (frames * 1e6))
    smallest = np.maximum(np.ceil(math.log(tail) / np.log(mean / (1 + mean))), 2)
    smallest[-1] = np.inf
    suspicious = events.pixel[events.count >= smallest[ring_of_pixel[events.pixel]]]
    pixel, times = np.unique(suspicious, return_counts=True)
    return pixel[times > _FRAMES_TO_BE_HOT].astype(np.int64)


@numba.njit(nogil=True, cache=True)
def _pixels_of_rings(ring_of_pixel: np.ndarray, rings: int) -> np.ndarray:
    """How many pixels each ring has; negative ones are in none."""
    pixels = np.zeros(rings, np.int64)
    for pixel in range(ring_of_pixel.size):
        if ring_of_pixel[pixel] >= 0:
            pixels[ring_of_pixel[pixel]] += 1
    return pixels
