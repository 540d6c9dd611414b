"""Where each quantity stands in the result file, with its unit, and which shapes belong together."""

from __future__ import annotations

from typing import NamedTuple

from backend.correlation_result import GOOD_PIXELS_PATH, CorrelationResult


class StoredArray(NamedTuple):
    """Place of an array; ``transposed`` where the file's layout has the axes the other way round."""

    path: str
    units: str
    transposed: bool = False
    packed: bool = False


ARRAYS: dict[str, StoredArray] = {
    "lag_frames": StoredArray("/xpcs/multitau/delay_list", "frames"),
    "g2": StoredArray("/xpcs/multitau/normalized_g2", "", transposed=True),
    "g2_err": StoredArray("/xpcs/multitau/normalized_g2_err", "", transposed=True),
    "sector_g2": StoredArray("/entry/mento_gui/sectors/g2", "", packed=True),
    "sector_azimuth_deg": StoredArray("/entry/mento_gui/sectors/azimuth", "deg"),
    "contrast": StoredArray("/xpcs/multitau/frame_contrast", ""),
    "contrast_err": StoredArray("/xpcs/multitau/frame_contrast_err", ""),
    "ring_map": StoredArray("/xpcs/qmap/dynamic_roi_map", "", packed=True),
    "q_inv_nm": StoredArray("/xpcs/qmap/dynamic_v_list_dim0", "1/nm"),
    "ring_pixels": StoredArray("/xpcs/qmap/dynamic_num_pixels", "pixel"),
    "fine_ring_map": StoredArray("/xpcs/qmap/static_roi_map", "", packed=True),
    "fine_q_inv_nm": StoredArray("/xpcs/qmap/static_v_list_dim0", "1/nm"),
    "fine_intensity": StoredArray("/xpcs/temporal_mean/scattering_1d", "photons/pixel/frame"),
    "mean_image": StoredArray("/xpcs/temporal_mean/scattering_2d", "photons/pixel/frame", packed=True),
    "occurrences": StoredArray("/xpcs/temporal_mean/photon_occurrences", ""),
    "ring_counts": StoredArray("/xpcs/spatial_mean/ring_counts", "photons", packed=True),
    "frame_numbers": StoredArray("/xpcs/spatial_mean/frame_numbers", "frames", packed=True),
    "good_pixels": StoredArray(GOOD_PIXELS_PATH, "", packed=True),
    "hot_pixels": StoredArray("/entry/mento_gui/hot_pixels/pixel", ""),
    "hot_photons": StoredArray("/entry/mento_gui/hot_pixels/photons", "photons"),
    "hot_expected": StoredArray("/entry/mento_gui/hot_pixels/expected", "photons"),
    "hot_found_after": StoredArray("/entry/mento_gui/hot_pixels/found_after", "frames"),
    "hot_flashing": StoredArray("/entry/mento_gui/hot_pixels/flashing", ""),
    "dead_pixels": StoredArray("/entry/mento_gui/dead_pixels", ""),
}
"""Arrays of a :class:`CorrelationResult` by attribute name."""

TEXTS: dict[str, str] = {
    "series": "/entry/title",
    "sample": "/entry/sample/name",
    "detector": "/entry/instrument/detector_1/local_name",
    "settings_json": "/entry/mento_gui/settings_json",
    "settings_sha256": "/entry/mento_gui/settings_sha256",
    "program_version": "/entry/mento_gui/version",
    "verdict": "/entry/mento_gui/verdict",
    "verdict_why": "/entry/mento_gui/verdict_why",
}
"""Texts of a :class:`CorrelationResult` by attribute name."""

_AXES: dict[str, tuple[str, ...]] = {
    "lag_frames": ("lag",),
    "g2": ("ring", "lag"),
    "g2_err": ("ring", "lag"),
    "sector_g2": ("sector", "ring", "lag"),
    "sector_azimuth_deg": ("sector", "ring"),
    "q_inv_nm": ("ring",),
    "ring_map": ("y", "x"),
    "fine_q_inv_nm": ("fine ring",),
    "fine_intensity": ("fine ring",),
    "fine_ring_map": ("y", "x"),
    "ring_counts": ("frame", "ring"),
    "frame_numbers": ("frame",),
    "ring_pixels": ("ring",),
    "mean_image": ("y", "x"),
    "occurrences": ("ring", "number of photons"),
    "contrast": ("ring",),
    "contrast_err": ("ring",),
    "good_pixels": ("y", "x"),
    "hot_pixels": ("hot",),
    "hot_photons": ("hot",),
    "hot_expected": ("hot",),
    "hot_found_after": ("hot",),
    "hot_flashing": ("hot",),
    "dead_pixels": ("dead",),
}


def check_shapes(result: CorrelationResult) -> list[str]:
    """Sentences on arrays whose shapes do not fit together; empty when all do."""
    lengths: dict[str, int] = {"ring": len(result.fits)}
    faults = []
    for name, axes in _AXES.items():
        shape = getattr(result, name).shape
        if len(shape) != len(axes):
            faults.append(f"{name} has {len(shape)} axes instead of {len(axes)}")
            continue
        for axis, length in zip(axes, shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                faults.append(f"{name} has {length} along {axis}, others have {lengths[axis]}")
    return faults
