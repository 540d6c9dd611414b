"""The automatic cut of the detector into q rings, fine rings and sectors."""

from __future__ import annotations

import numpy as np

from backend.detector.geometry import Geometry
from backend.errors import GeometryError
from backend.photon_events import RingPartition
from backend.settings import RingSettings

_FEWEST_PIXELS_PER_RING = 200
_INNERMOST_RADIUS_PX = 8.0
_SHADOW_FRACTION = 0.05
_AZIMUTH_SLICES = 4096


def partition_into_rings(
    geometry: Geometry, good: np.ndarray, settings: RingSettings, mean_image: np.ndarray
) -> RingPartition:
    """Rings of equal ratio in q between the beam stop and the edge of the detector.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool
        Pixels to use.
    mean_image : ndarray, shape (y, x), float
        Photons per pixel and frame of the first frames, to find the shadow of the beam stop.

    Raises
    ------
    GeometryError
        No good pixels lie in the wanted q range.
    """
    radius = geometry.radius_px()
    edges = _ring_edges(geometry, good, radius, settings, mean_image)
    rings = len(edges) - 1
    flat_radius = radius.ravel().astype(np.float64)
    inside, fine_pixel, ring_of_fine = _fine_rings(flat_radius, good.ravel(), edges, settings.fine_per_ring)
    ring = ring_of_fine[fine_pixel]
    sector = _equal_sectors(ring, geometry.azimuth_rad().ravel()[inside], settings.sectors, rings)
    cell = ring * settings.sectors + sector
    q_squared = geometry.q_inv_nm(flat_radius[inside]) ** 2
    fine_pixels = np.bincount(fine_pixel, minlength=len(ring_of_fine))
    weight = _weight_in_g2(fine_pixel, fine_pixels, mean_image.ravel()[inside])
    return RingPartition(
        shape_yx=geometry.shape_yx,
        rings=rings,
        sectors=settings.sectors,
        fine_rings=len(ring_of_fine),
        cell_of_pixel=_spread(cell, inside),
        fine_of_pixel=_spread(fine_pixel, inside),
        ring_of_fine=ring_of_fine.astype(np.int16),
        cell_pixels=np.bincount(cell, minlength=rings * settings.sectors).reshape(rings, settings.sectors),
        fine_pixels=fine_pixels,
        q_inv_nm=_root_mean(q_squared, weight, ring, rings),
        fine_q_inv_nm=_root_mean(q_squared, weight, fine_pixel, len(ring_of_fine)),
        ring_edges_px=np.stack([edges[:-1], edges[1:]], axis=1),
        beam_center_yx_px=geometry.beam_center_yx_px,
    )


def _ring_edges(
    geometry: Geometry, good: np.ndarray, radius: np.ndarray, settings: RingSettings, mean_image: np.ndarray
) -> np.ndarray:
    """Radii between the rings in pixels, shape (ring + 1,); rings too small for statistics are merged."""
    inner, outer = _radial_range(geometry, good, radius, settings, mean_image)
    edges = np.geomspace(inner, outer, settings.count + 1)
    pixels, _ = np.histogram(radius[good], edges)
    return _merge_small(edges, pixels)


def _fine_rings(
    radius: np.ndarray, good: np.ndarray, edges: np.ndarray, fine_per_ring: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels inside (flat bool), fine ring of each of those from 0, and ring of each fine ring that has pixels."""
    pieces = [
        np.geomspace(inner, outer, fine_per_ring + 1)[:-1]
        for inner, outer in zip(edges[:-1], edges[1:], strict=True)
    ]
    fine_edges = np.append(np.concatenate(pieces), edges[-1])
    fine = np.searchsorted(fine_edges, radius, side="right") - 1
    inside = good & (fine >= 0) & (fine < len(fine_edges) - 1)
    present = np.bincount(fine[inside], minlength=len(fine_edges) - 1) > 0
    return inside, (np.cumsum(present) - 1)[fine[inside]], np.flatnonzero(present) // fine_per_ring


def _spread(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Values of the pixels inside in their places, -1 elsewhere; int16."""
    everywhere = np.full(inside.size, -1, np.int16)
    everywhere[inside] = values
    return everywhere


def _weight_in_g2(fine_pixel: np.ndarray, fine_pixels: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Square of the smooth intensity: g2 of a ring weighs its pixels so, and its q is the mean with these weights."""
    profile = np.bincount(fine_pixel, weights=intensity, minlength=len(fine_pixels)) / fine_pixels
    return (profile**2)[fine_pixel] if profile.min() > 0 else np.ones(fine_pixel.size)


def _root_mean(squares: np.ndarray, weight: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    total = np.bincount(group, weights=squares * weight, minlength=groups)
    return np.sqrt(total / np.bincount(group, weights=weight, minlength=groups))


def _radial_range(
    geometry: Geometry, good: np.ndarray, radius: np.ndarray, settings: RingSettings, mean_image: np.ndarray
) -> tuple[float, float]:
    """Inner and outer radius in pixels."""
    if not good.any():
        raise GeometryError(
            "No pixel of the detector is good.",
            still_works="The image is shown.",
            try_this="Check the mask in the settings, section [mask], and the detector's own pixel mask.",
        )
    shell = radius[good].astype(np.int64)
    pixels = np.bincount(shell)
    profile = np.bincount(shell, weights=mean_image[good]) / np.maximum(pixels, 1)
    available = pixels >= np.minimum(_FEWEST_PIXELS_PER_RING, np.maximum(2 * np.arange(len(pixels)), 20))
    if settings.q_min_inv_nm is not None:
        inner = geometry.radius_of_q_px(settings.q_min_inv_nm)
    else:
        inner = _beam_stop_edge(profile, available)
    if settings.q_max_inv_nm is not None:
        # The wanted q may lie beyond the detector, or beyond what any radius reaches.
        outer = min(geometry.radius_of_q_px(settings.q_max_inv_nm), float(len(pixels)))
    else:
        share = np.cumsum(pixels) / pixels.sum()
        # The last percent are corners: few pixels, spread over many q.
        outer = float(np.searchsorted(share, 0.99) + 1)
    used = np.count_nonzero((radius >= inner) & (radius < outer) & good)
    if not inner < outer or used < 2 * _FEWEST_PIXELS_PER_RING:
        raise GeometryError(
            f"Only {used} good pixels lie between q = {float(geometry.q_inv_nm(inner)):.3g} and "
            f"{float(geometry.q_inv_nm(min(outer, 1e6))):.3g} 1/nm: too few for q rings.",
            still_works="The image and the intensity are shown.",
            try_this="Check beam centre, distance and mask, or the q limits in the settings, section [rings].",
        )
    return max(inner, 1.0), outer


def _beam_stop_edge(profile: np.ndarray, available: np.ndarray) -> float:
    """Radius from which the intensity is no longer in the shadow of the beam stop, in pixels."""
    shells = np.flatnonzero(available & (np.arange(len(profile)) >= _INNERMOST_RADIUS_PX))
    if shells.size == 0:
        return _INNERMOST_RADIUS_PX
    smooth = np.convolve(profile[shells], np.ones(5) / 5, mode="same")
    brightest = int(np.argmax(smooth[: max(len(shells) // 2, 1)]))
    dark = np.flatnonzero(smooth[:brightest] < _SHADOW_FRACTION * smooth[brightest])
    return float(shells[dark[-1] + 1] + 2 if dark.size else shells[0])


def _merge_small(edges: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    kept = [float(edges[0])]
    collected = 0
    for outer, number in zip(edges[1:], pixels, strict=True):
        collected += int(number)
        if collected >= _FEWEST_PIXELS_PER_RING:
            kept.append(float(outer))
            collected = 0
    if len(kept) == 1:
        kept.append(float(edges[-1]))
    kept[-1] = float(edges[-1])
    return np.array(kept)


def _equal_sectors(ring: np.ndarray, azimuth: np.ndarray, sectors: int, rings: int) -> np.ndarray:
    """Sector of each pixel such that the sectors of a ring hold nearly equally many pixels, in order of azimuth.

    Counts in narrow slices of azimuth are enough for this and much faster than sorting all pixels.
    """
    turn = (azimuth.astype(np.float64) + np.pi) / (2 * np.pi)
    piece = ring * _AZIMUTH_SLICES + np.minimum(
        (turn * _AZIMUTH_SLICES).astype(np.int64), _AZIMUTH_SLICES - 1
    )
    pixels = np.bincount(piece, minlength=rings * _AZIMUTH_SLICES).reshape(rings, _AZIMUTH_SLICES)
    before = np.cumsum(pixels, axis=1) - pixels
    total = np.maximum(pixels.sum(axis=1, keepdims=True), 1)
    sector_of_piece = np.minimum((2 * before + pixels) * sectors // (2 * total), sectors - 1)
    return sector_of_piece.ravel()[piece]
