"""The automatic cut of the detector into q rings, fine rings and sectors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from backend.detector import polar_kernels as kernels
from backend.detector.geometry import Geometry
from backend.detector.polar_kernels import Place
from backend.errors import GeometryError
from backend.photon_events import RingPartition
from backend.settings import RingSettings
from backend.worker_pool import equal_shares, share_out

_FEWEST_PIXELS_PER_RING = 200
_INNERMOST_RADIUS_PX = 8.0
_SHADOW_FRACTION = 0.05
_PIECES = 16

Photons = tuple[np.ndarray, np.ndarray]
"""Flat pixels, in any order and as often as they are counted, and their counts; both shape (event,)."""


def partition_into_rings(
    geometry: Geometry,
    good: np.ndarray,
    settings: RingSettings,
    photons: Photons,
    pool: Executor | None = None,
) -> RingPartition:
    """Rings of equal ratio in q between the beam stop and the edge of the detector.

    Parameters
    ----------
    good : ndarray, shape (y, x), bool
        Pixels to use.
    photons : tuple of ndarray, shape (event,)
        Flat pixels and counts of the first frames, to find the shadow of the beam stop and to weigh q. Pixels may occur
        often, and those that are not good do not count.
    pool : Executor or None
        Threads that share the work; ``None`` = the calling thread alone. The numbers do not depend on it.

    Raises
    ------
    GeometryError
        No good pixels lie in the wanted q range.
    """
    walk = _Walk(geometry, good, photons, pool)
    edges = _ring_edges(walk, settings)
    rings = len(edges) - 1
    found = walk.fine_rings(_fine_edges(edges, settings.fine_per_ring), settings.fine_per_ring)
    sector, cell_pixels = _equal_sectors(found.of_slices, settings.sectors)
    present = found.pixels > 0
    ring_of_fine = (np.arange(present.size) // settings.fine_per_ring)[present]
    walk.set_cells(found, settings.fine_per_ring, sector, np.cumsum(present) - 1)
    fine_pixels, q_squares = found.pixels[present], found.q_squares[present]
    weight = _weight_in_g2(found.light[present] / fine_pixels)
    return RingPartition(
        shape_yx=geometry.shape_yx,
        rings=rings,
        sectors=settings.sectors,
        fine_rings=len(ring_of_fine),
        cell_of_pixel=found.maps[1].ravel(),
        fine_of_pixel=found.maps[0].ravel(),
        ring_of_fine=ring_of_fine.astype(np.int16),
        cell_pixels=cell_pixels,
        fine_pixels=fine_pixels,
        q_inv_nm=np.sqrt(
            np.bincount(ring_of_fine, weight * q_squares, rings)
            / np.bincount(ring_of_fine, weight * fine_pixels, rings)
        ),
        fine_q_inv_nm=np.sqrt(q_squares / fine_pixels),
        ring_edges_px=np.stack([edges[:-1], edges[1:]], axis=1),
        beam_center_yx_px=geometry.beam_center_yx_px,
    )


@dataclass(frozen=True, slots=True)
class _FineRings:
    """What is known of fine rings, some of them without pixels, once all pixels are sorted into them.

    ``maps``: fine ring and slice of each pixel; ``q_squares``: sum of q^2 over the pixels of each.
    """

    maps: tuple[np.ndarray, np.ndarray]
    pixels: np.ndarray
    light: np.ndarray
    q_squares: np.ndarray
    of_slices: np.ndarray


class _Walk:
    """Goes over the pixels, always in the same pieces, so that sums of fractions do not depend on the threads."""

    def __init__(self, geometry: Geometry, good: np.ndarray, photons: Photons, pool: Executor | None) -> None:
        self.geometry = geometry
        self._good, self._photons, self._pool = good, photons, pool
        self._pieces = equal_shares(geometry.shape_yx[0], _PIECES)
        self._largest_px = geometry.largest_radius_px

    def _add_up(self, kernel: Callable[..., None], *nothing: np.ndarray) -> list[np.ndarray]:
        """What the kernel adds to zeros of these shapes, over all pieces."""

        def work(rows: tuple[int, int]) -> list[np.ndarray]:
            sums = [zeros.copy() for zeros in nothing]
            kernel((*self.geometry.beam_center_yx_px, *rows), *sums)
            return sums

        return [
            np.sum(parts, axis=0) for parts in zip(*share_out(self._pool, work, self._pieces), strict=True)
        ]

    def shells(self) -> tuple[np.ndarray, np.ndarray]:
        """Good pixels of each whole radius up to the largest, and their light."""
        size = int(self._largest_px) + 1

        def kernel(place: Place, pixels: np.ndarray) -> None:
            kernels.count_shells(place, self._good, pixels)

        pixels = self._add_up(kernel, np.zeros(size, np.int64))[0]
        light = np.zeros(size)
        kernels.add_light_of_shells(self.geometry.beam_center_yx_px, self._good, *self._photons, light)
        size_used = int(np.flatnonzero(pixels).max(initial=-1)) + 1
        return pixels[:size_used], light[:size_used]

    def between(self, edges: np.ndarray) -> np.ndarray:
        """Good pixels between neighbouring edges."""

        def kernel(place: Place, pixels: np.ndarray) -> None:
            kernels.count_between(place, self._good, kernels.with_shells(edges, self._largest_px), pixels)

        return self._add_up(kernel, np.zeros(len(edges) - 1, np.int64))[0]

    def fine_rings(self, edges: np.ndarray, fine_per_ring: int) -> _FineRings:
        """All pixels sorted into the fine rings between the edges."""
        fine_rings = len(edges) - 1
        maps = np.empty(self._good.shape, np.int16), np.empty(self._good.shape, np.int16)
        tangent = self.geometry.pixel_size_m / self.geometry.distance_m
        found = kernels.with_shells(edges, self._largest_px)

        def kernel(place: Place, *sums: np.ndarray) -> None:
            kernels.sort_into_fine_rings(place, self._good, found, fine_per_ring, tangent, maps, sums)

        number, fraction = np.zeros(fine_rings, np.int64), np.zeros(fine_rings)
        of_rings = np.zeros((fine_rings // fine_per_ring, kernels.SLICES), np.int64)
        pixels, sine_squares, of_slices = self._add_up(kernel, number, fraction, of_rings)
        light = np.zeros(fine_rings)
        kernels.add_light_of_groups(maps[0].ravel(), *self._photons, light)
        return _FineRings(maps, pixels, light, self.geometry.largest_q_inv_nm**2 * sine_squares, of_slices)

    def set_cells(
        self, found: _FineRings, fine_per_ring: int, sector: np.ndarray, new_fine: np.ndarray
    ) -> None:
        """Make the maps those of cells and of fine rings that have pixels."""

        def work(rows: tuple[int, int]) -> None:
            kernels.set_cells(rows, fine_per_ring, sector, new_fine, found.maps)

        share_out(self._pool, work, self._pieces)


def _ring_edges(walk: _Walk, settings: RingSettings) -> np.ndarray:
    """Radii between the rings in pixels, shape (ring + 1,); rings too small for statistics are merged."""
    inner, outer = _radial_range(walk, settings)
    pixels, edges = np.zeros(1, np.int64), np.empty(0)
    if inner < outer:
        edges = np.geomspace(inner, outer, settings.count + 1)
        pixels = walk.between(edges)
    if pixels.sum() < 2 * _FEWEST_PIXELS_PER_RING:
        q_inv_nm = walk.geometry.q_inv_nm
        raise GeometryError(
            f"Only {pixels.sum()} good pixels lie between q = {float(q_inv_nm(inner)):.3g} and "
            f"{float(q_inv_nm(min(outer, 1e6))):.3g} 1/nm: too few for q rings.",
            still_works="The image and the intensity are shown.",
            try_this="Check beam centre, distance and mask, or the q limits in the settings, section [rings].",
        )
    return _merge_small(edges, pixels)


def _fine_edges(edges: np.ndarray, fine_per_ring: int) -> np.ndarray:
    """Radii between the fine rings in pixels, so many in each ring."""
    pieces = [
        np.geomspace(inner, outer, fine_per_ring + 1)[:-1]
        for inner, outer in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.append(np.concatenate(pieces), edges[-1])


def _weight_in_g2(profile: np.ndarray) -> np.ndarray:
    """Square of the smooth intensity: g2 of a ring weighs its pixels so, and its q is the mean with these weights."""
    return profile**2 if profile.min() > 0 else np.ones(profile.size)


def _radial_range(walk: _Walk, settings: RingSettings) -> tuple[float, float]:
    """Inner and outer radius in pixels."""
    pixels, light = walk.shells()
    if pixels.size == 0:
        raise GeometryError(
            "No pixel of the detector is good.",
            still_works="The image is shown.",
            try_this="Check the mask in the settings, section [mask], and the detector's own pixel mask.",
        )
    profile = light / np.maximum(pixels, 1)
    available = pixels >= np.minimum(_FEWEST_PIXELS_PER_RING, np.maximum(2 * np.arange(len(pixels)), 20))
    if settings.q_min_inv_nm is not None:
        inner = walk.geometry.radius_of_q_px(settings.q_min_inv_nm)
    else:
        inner = _beam_stop_edge(profile, available)
    if settings.q_max_inv_nm is not None:
        # The wanted q may lie beyond the detector, or beyond what any radius reaches.
        outer = min(walk.geometry.radius_of_q_px(settings.q_max_inv_nm), float(len(pixels)))
    else:
        share = np.cumsum(pixels) / pixels.sum()
        # The last percent are corners: few pixels, spread over many q.
        outer = float(np.searchsorted(share, 0.99) + 1)
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


def _equal_sectors(of_slices: np.ndarray, sectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Sectors such that those of a ring hold nearly equally many pixels, in order of azimuth.

    Counts in narrow slices of azimuth are enough for this and much faster than sorting all pixels.

    Returns
    -------
    sector : ndarray, shape (ring, slice), int64
        Counted through all rings: ring times sectors plus sector.
    pixels : ndarray, shape (ring, sector), int64
    """
    rings = len(of_slices)
    before = np.cumsum(of_slices, axis=1) - of_slices
    total = np.maximum(of_slices.sum(axis=1, keepdims=True), 1)
    sector = np.minimum((2 * before + of_slices) * sectors // (2 * total), sectors - 1)
    sector += np.arange(rings)[:, None] * sectors
    pixels = np.bincount(sector.ravel(), of_slices.ravel(), rings * sectors)
    return sector, pixels.astype(np.int64).reshape(rings, sectors)
