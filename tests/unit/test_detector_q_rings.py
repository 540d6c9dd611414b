"""The automatic q rings: they cover the detector, nest, have equal sectors, and start outside the beam stop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.detector.geometry import Geometry
from backend.detector.q_rings import partition_into_rings
from backend.errors import GeometryError
from backend.photon_events import RingPartition
from backend.settings import RingSettings


def geometry(
    shape_yx: tuple[int, int] = (300, 260), center: tuple[float, float] = (140.3, 120.8)
) -> Geometry:
    return Geometry(shape_yx, 75e-6, 5.0, 1.38e-10, center)


def radius_px(where: Geometry) -> np.ndarray:
    """In double precision."""
    row, column = np.indices(where.shape_yx)
    return np.sqrt((row - where.beam_center_yx_px[0]) ** 2 + (column - where.beam_center_yx_px[1]) ** 2)


def assert_equals_plain_numpy(
    found: RingPartition, where: Geometry, good: np.ndarray, image: np.ndarray, fine_per_ring: int
) -> None:
    """The maps and the q of a partition are what numpy makes of its ring edges, pixel by pixel."""
    radius, edges = radius_px(where).ravel(), np.append(found.ring_edges_px[:, 0], found.ring_edges_px[-1, 1])
    pieces = [
        np.geomspace(inner, outer, fine_per_ring + 1)[:-1]
        for inner, outer in zip(edges[:-1], edges[1:], strict=True)
    ]
    fine = np.searchsorted(np.append(np.concatenate(pieces), edges[-1]), radius, side="right") - 1
    inside = good.ravel() & (fine >= 0) & (fine < found.rings * fine_per_ring)
    numbers, fine = np.unique(fine[inside], return_inverse=True)
    assert np.array_equal(found.fine_of_pixel[inside], fine)
    assert np.all(found.fine_of_pixel[~inside] == -1) and np.all(found.cell_of_pixel[~inside] == -1)
    assert np.array_equal(found.ring_of_fine, numbers // fine_per_ring)
    light = np.bincount(fine, image.ravel()[inside]) / np.bincount(fine)
    weight = (light**2)[fine] if light.min() > 0 else np.ones(fine.size)
    q_squares = where.q_inv_nm(radius[inside]) ** 2
    for group, q_inv_nm in ((fine, found.fine_q_inv_nm), (found.ring_of_fine[fine], found.q_inv_nm)):
        expected = np.sqrt(np.bincount(group, weight * q_squares) / np.bincount(group, weight))
        assert np.allclose(q_inv_nm, expected, rtol=1e-12, atol=0)


def photons_of(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel twice, to half."""
    return np.tile(np.arange(image.size), 2), np.tile(image.ravel() / 2, 2)


def partition(
    where: Geometry, good: np.ndarray | None = None, image: np.ndarray | None = None, **rings: object
) -> RingPartition:
    usable = np.ones(where.shape_yx, bool) if good is None else good
    mean_image = np.ones(where.shape_yx) if image is None else image
    return partition_into_rings(where, usable, RingSettings(**rings), photons_of(mean_image))


def assert_consistent(found: RingPartition, good: np.ndarray) -> None:
    """What every partition must fulfil: numbers agree with maps, and fine rings nest in rings."""
    cell, fine = found.cell_of_pixel, found.fine_of_pixel
    inside = cell >= 0
    assert np.array_equal(inside, fine >= 0)
    assert not np.any(inside & ~good.ravel())
    assert np.array_equal(
        np.bincount(cell[inside], minlength=found.cell_pixels.size), found.cell_pixels.ravel()
    )
    assert np.array_equal(np.bincount(fine[inside], minlength=found.fine_rings), found.fine_pixels)
    assert found.cell_pixels.shape == (found.rings, found.sectors)
    assert np.all(found.fine_pixels > 0) and np.all(found.ring_pixels > 0)
    assert np.array_equal(found.ring_of_fine[fine[inside]], cell[inside] // found.sectors)
    assert np.all(np.diff(found.ring_of_fine) >= 0)
    assert np.all(np.diff(found.q_inv_nm) > 0) and np.all(np.diff(found.fine_q_inv_nm) > 0)
    assert found.ring_map().shape == found.shape_yx
    assert np.array_equal(found.ring_map().ravel() > 0, inside)
    assert found.fine_ring_map().max() == found.fine_rings


def test_rings_cover_everything_between_beam_and_edge() -> None:
    where = geometry()
    found = partition(where, q_min_inv_nm=0.003)
    assert_consistent(found, np.ones(where.shape_yx, bool))
    assert 15 < found.rings <= RingSettings().count
    radius = radius_px(where).ravel()
    between = (radius >= found.ring_edges_px[0, 0]) & (radius < found.ring_edges_px[-1, 1])
    assert np.array_equal(found.cell_of_pixel >= 0, between)
    assert np.count_nonzero(between) > 0.97 * radius.size
    for ring, (inner, outer) in enumerate(found.ring_edges_px):
        members = radius[found.cell_of_pixel // found.sectors == ring]
        assert inner <= members.min() and members.max() < outer
        assert where.q_inv_nm(inner) < found.q_inv_nm[ring] < where.q_inv_nm(outer)
    assert np.array_equal(found.ring_edges_px[1:, 0], found.ring_edges_px[:-1, 1])


def test_sectors_of_a_ring_are_nearly_equal_and_follow_the_azimuth() -> None:
    where = geometry()
    good = np.ones(where.shape_yx, bool)
    good[100:110] = False
    good[:, :60] = False
    found = partition(where, good)
    assert_consistent(found, good)
    large = found.ring_pixels > 2000
    share = found.cell_pixels[large] / found.ring_pixels[large, None] * found.sectors
    assert large.any() and np.all(np.abs(share - 1) < 0.1)
    last = found.cell_of_pixel // found.sectors == found.rings - 1
    azimuth, sector = where.azimuth_rad().ravel()[last], found.cell_of_pixel[last] % found.sectors
    order = np.argsort(azimuth)
    assert np.all(np.diff(sector[order]) >= 0)


def test_every_sector_of_a_small_ring_has_pixels() -> None:
    found = partition(geometry((40, 40), (20.0, 20.0)), sectors=36)
    assert np.all(found.cell_pixels > 0)


def test_a_flat_image_gives_root_mean_square_q_and_a_steep_one_less() -> None:
    where = geometry()
    flat = partition(where, count=4)
    q = where.q_inv_nm(radius_px(where)).ravel()
    for ring in range(4):
        members = flat.cell_of_pixel // flat.sectors == ring
        assert flat.q_inv_nm[ring] == pytest.approx(np.sqrt((q[members] ** 2).mean()), rel=1e-9)
    steep = partition(where, image=1 / np.maximum(radius_px(where), 1.0) ** 2, count=4)
    assert np.all(steep.q_inv_nm < flat.q_inv_nm)


@pytest.mark.parametrize("stop_px", [15.0, 40.0])
def test_the_shadow_of_the_beam_stop_is_found(stop_px: float) -> None:
    where = geometry()
    radius = radius_px(where)
    mean = np.where(radius < stop_px, 0.0, 2.0 / (1 + radius / 50) ** 3)
    image = np.random.default_rng(1).poisson(mean * 30) / 30
    assert stop_px <= partition(where, image=image).ring_edges_px[0, 0] <= stop_px + 6


def test_without_a_beam_stop_rings_start_near_the_beam() -> None:
    assert partition(geometry()).ring_edges_px[0, 0] < 12


def test_wanted_q_limits_are_kept() -> None:
    where = geometry()
    found = partition(where, q_min_inv_nm=0.02, q_max_inv_nm=0.08)
    assert float(where.q_inv_nm(found.ring_edges_px[0, 0])) == pytest.approx(0.02)
    assert float(where.q_inv_nm(found.ring_edges_px[-1, 1])) == pytest.approx(0.08)


@pytest.mark.parametrize("q_max", [5.0, 100.0])
def test_a_largest_q_beyond_the_detector_means_its_corner(q_max: float) -> None:
    where = geometry()
    found = partition(where, q_max_inv_nm=q_max)
    assert_consistent(found, np.ones(where.shape_yx, bool))
    corner = radius_px(where).max()
    assert corner < found.ring_edges_px[-1, 1] <= corner + 1
    assert 15 < found.rings <= RingSettings().count


def test_a_beam_beside_the_detector_still_gives_rings() -> None:
    where = geometry(center=(-200.0, 700.0))
    found = partition(where)
    assert_consistent(found, np.ones(where.shape_yx, bool))
    assert found.rings > 10
    assert found.ring_edges_px[0, 0] >= radius_px(where).min() - 1


@pytest.mark.parametrize("shape_yx", [(24, 24), (8, 100), (1, 1030), (514, 1)])
def test_tiny_detectors_have_fewer_rings_or_a_refusal_in_words(shape_yx: tuple[int, int]) -> None:
    where = geometry(shape_yx, (0.0, 0.0))
    try:
        found = partition(where)
    except GeometryError as refusal:
        assert "too few for q rings" in refusal.what
        assert refusal.still_works and "[rings]" in refusal.try_this
    else:
        assert_consistent(found, np.ones(shape_yx, bool))
        assert found.rings < RingSettings().count


def test_a_detector_without_good_pixels_is_refused_in_words() -> None:
    where = geometry()
    with pytest.raises(GeometryError, match="No pixel of the detector is good") as refusal:
        partition(where, np.zeros(where.shape_yx, bool))
    assert refusal.value.still_works and refusal.value.try_this


@pytest.mark.parametrize(
    "limits", [{"q_min_inv_nm": 50.0}, {"q_min_inv_nm": 99.0}, {"q_min_inv_nm": 0.05, "q_max_inv_nm": 0.04}]
)
def test_q_limits_that_leave_no_pixels_are_refused_in_words(limits: dict[str, float]) -> None:
    with pytest.raises(GeometryError, match="too few for q rings") as refusal:
        partition(geometry(), **limits)
    assert refusal.value.still_works and refusal.value.try_this


def test_a_dark_image_gives_rings_all_the_same() -> None:
    where = geometry()
    found = partition(where, image=np.zeros(where.shape_yx))
    assert_consistent(found, np.ones(where.shape_yx, bool))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(20, 120),
    st.integers(20, 120),
    st.floats(-100, 200),
    st.floats(-100, 200),
    st.integers(2, 64),
    st.integers(1, 32),
    st.integers(4, 36),
    st.floats(0, 0.9),
)
def test_any_detector_gives_a_consistent_partition_or_a_refusal(
    rows: int, columns: int, row: float, column: float, count: int, fine: int, sectors: int, bad: float
) -> None:
    generator = np.random.default_rng(rows * columns)
    good = generator.random((rows, columns)) >= bad
    image = generator.poisson(0.3, good.shape)
    where = geometry((rows, columns), (row, column))
    try:
        found = partition(where, good, image, count=count, fine_per_ring=fine, sectors=sectors)
    except GeometryError as refusal:
        assert "good" in refusal.what
    else:
        assert_consistent(found, good)
        assert_equals_plain_numpy(found, where, good, image, fine)


def test_threads_change_no_bit() -> None:
    where, good = geometry(), np.ones((300, 260), bool)
    image = np.random.default_rng(2).random(good.shape)
    alone = partition_into_rings(where, good, RingSettings(), photons_of(image))
    with ThreadPoolExecutor(3) as pool:
        shared = partition_into_rings(where, good, RingSettings(), photons_of(image), pool)
    for field in fields(RingPartition):
        assert np.array_equal(getattr(alone, field.name), getattr(shared, field.name)), field.name
