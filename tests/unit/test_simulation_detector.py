"""Shape, gaps, defects and q of the simulated detectors."""

from __future__ import annotations

import numpy as np
import pytest

from backend.simulation.detector_model import (
    DETECTORS,
    EIGER_4M,
    EIGER_500K,
    MASK_DEAD,
    MASK_GAP,
    MASK_NOISY,
    RADIUS_BINS_PER_PIXEL,
)


def test_eiger_4m_has_its_module_gaps() -> None:
    gap = EIGER_4M.pixel_mask() == MASK_GAP
    rows = np.flatnonzero(gap.all(axis=1))
    columns = np.flatnonzero(gap.all(axis=0))
    assert rows.tolist() == [*range(514, 551), *range(1065, 1102), *range(1616, 1653)]
    assert columns.tolist() == list(range(1030, 1040))
    assert gap.sum() == 111 * 2070 + 10 * 2167 - 1110


def test_eiger_500k_is_one_module_with_defects() -> None:
    mask = EIGER_500K.pixel_mask()
    assert mask.shape == (514, 1030)
    assert not (mask & MASK_GAP).any()
    assert (mask == MASK_NOISY).sum() == EIGER_500K.noisy_pixels > 0
    assert (mask == MASK_DEAD).sum() == EIGER_500K.dead_pixels > 0


@pytest.mark.parametrize("name", DETECTORS)
def test_defects_belong_to_the_detector(name: str) -> None:
    assert np.array_equal(DETECTORS[name].pixel_mask(), DETECTORS[name].pixel_mask())


@pytest.mark.parametrize("name", DETECTORS)
def test_q_is_that_of_the_scattering_angle(name: str) -> None:
    model = DETECTORS[name]
    radius_px = model.radius_bin()[7, 11] / RADIUS_BINS_PER_PIXEL
    row, column = model.beam_center_yx_px
    assert radius_px == pytest.approx(np.hypot(7 - row, 11 - column), abs=0.13)
    # Independent route: difference of the unit vectors of the beam before and after scattering.
    outgoing = np.array([radius_px * model.pixel_size_m, model.distance_m])
    transfer = outgoing / np.linalg.norm(outgoing) - np.array([0.0, 1.0])
    q_inv_nm = 2 * np.pi / (model.wavelength_m * 1e9) * np.linalg.norm(transfer)
    assert model.q_inv_nm(np.array([radius_px]))[0] == pytest.approx(q_inv_nm, rel=1e-9)


@pytest.mark.parametrize("name", DETECTORS)
def test_wavelength_and_range_are_those_of_a_saxs_setup(name: str) -> None:
    model = DETECTORS[name]
    assert model.wavelength_m == pytest.approx(1.476e-10, rel=1e-3)
    q_inv_nm = model.q_inv_nm(model.radius_bin() / RADIUS_BINS_PER_PIXEL)
    open_pixels = model.radius_bin() > model.beam_stop_radius_px * RADIUS_BINS_PER_PIXEL
    assert q_inv_nm[open_pixels].min() < 0.02
    assert q_inv_nm.max() > 0.2
