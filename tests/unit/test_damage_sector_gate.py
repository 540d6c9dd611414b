"""Sectors that suddenly count unlike the rest of their ring are left out, said, and cost nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.damage.assessment import Assessment, DamageState
from backend.damage.damage_detector import DamageDetector
from backend.damage.sector_gate import SectorGate
from backend.damage.windows import SectorSums, Window
from backend.settings import DamageSettings
from backend.simulation.ring_speckle import RingSpecklePlan, RingSums, simulate_ring_speckle

FRAMES, RINGS, SECTORS = 400, 6, 12
LAGS = np.array([1, 2, 4, 8, 16])
PIXELS = np.full(RINGS, 1200)
GLITCH = slice(205, 235)


def _series(
    seed: int, module_gain: np.ndarray | None = None, structure: np.ndarray | float = 1.0
) -> RingSums:
    photons = np.geomspace(0.3, 0.1, RINGS) * np.broadcast_to(structure, (FRAMES, RINGS))
    gamma = np.broadcast_to(np.geomspace(0.05, 0.2, RINGS), photons.shape)
    contrast = np.full(photons.shape, 0.12)
    plan = RingSpecklePlan(photons, gamma, contrast, PIXELS, PIXELS, SECTORS, (0.35, 0.5), module_gain)
    return simulate_ring_speckle(plan, LAGS, seed)


def _detector() -> DamageDetector:
    return DamageDetector(
        DamageSettings(systematic_rms_percent=0.0),
        0.02 * 1.3 ** np.arange(RINGS),
        np.full((RINGS, SECTORS), 100),
        PIXELS.astype(float),
        LAGS,
        0.05,
        FRAMES,
    )


def _looked_through(gate: SectorGate, sums: SectorSums) -> Window:
    return gate.window(sums, gate.whole(sums))


def _judged(sums: RingSums, detector: DamageDetector) -> list[Assessment]:
    return detector.add(sums.sector_counts, sums.sector_products, np.arange(1.0, FRAMES + 1))


def _glitch(factor: float, rings: slice = slice(3, 6), frames: slice = GLITCH) -> np.ndarray:
    gain = np.ones((FRAMES, RINGS))
    gain[frames, rings] = factor
    return gain


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, 10.0])
def test_a_module_glitch_is_left_out_and_told(factor: float) -> None:
    detector = _detector()
    said = _judged(_series(1, _glitch(factor)), detector)
    assert {a.state for a in said} <= {DamageState.TOO_EARLY, DamageState.STEADY}
    # Sectors are left out, not windows.
    assert said[-1].windows_set_aside == 0
    # The module covers all of sector 5 and most of sector 4, counted from 0.
    whole = [glitch for glitch in detector.sector_glitches if glitch.sector == 5]
    assert len(whole) == 1
    assert (whole[0].first_ring, whole[0].last_ring) == (3, 5)
    assert 190 < whole[0].first_frame <= 210 and 229 <= whole[0].last_frame < 240
    assert whole[0].factor == pytest.approx(factor, abs=0.15 * max(factor, 1))
    assert {glitch.sector for glitch in detector.sector_glitches} == {4, 5}


def test_a_glitch_in_the_first_windows_is_found_once_the_usual_share_is_known() -> None:
    detector = _detector()
    said = _judged(_series(2, _glitch(2.0, frames=slice(10, 40))), detector)
    assert {a.state for a in said} <= {DamageState.TOO_EARLY, DamageState.STEADY}
    assert {(g.first_frame, g.last_frame) for g in detector.sector_glitches} == {(10, 39)}


def test_a_module_that_fails_for_good_is_left_out_for_good() -> None:
    detector = _detector()
    said = _judged(_series(3, _glitch(0.3, frames=slice(200, FRAMES))), detector)
    assert {a.state for a in said} <= {DamageState.TOO_EARLY, DamageState.STEADY}
    assert {(g.first_frame, g.last_frame) for g in detector.sector_glitches} == {(200, FRAMES - 1)}
    # The rest of the rings goes on telling, dynamics too.
    assert said[-1].effects["dynamics"][1] < 2 * said[195 // 10].effects["dynamics"][1]


def test_a_glitch_costs_nothing_in_detection() -> None:
    structure = np.ones((FRAMES, RINGS))
    structure[:, :2] += 0.4 * np.clip((np.arange(FRAMES) - 120) / 280, 0, 1)[:, None]
    with_glitch = _judged(_series(4, _glitch(0.0), structure), _detector())
    without = _judged(_series(4, None, structure), _detector())
    first = [next(a.frame for a in said if a.log10_evidence > 2) for said in (with_glitch, without)]
    assert 120 < first[0] <= first[1] + 20


def test_damage_of_whole_rings_is_no_glitch() -> None:
    structure = np.ones((FRAMES, RINGS))
    structure[200:, :2] = 1.5
    detector = _detector()
    said = _judged(_series(5, None, structure), detector)
    assert DamageState.DAMAGING in {a.state for a in said}
    assert detector.sector_glitches == ()


def _with_hot_pixel(sums: RingSums, photons: float, first_frame: int, seed: int = 0) -> RingSums:
    """One pixel more in sector 7 of ring 2, counted from 0, that counts ``photons`` in every frame from then on."""
    there = np.arange(FRAMES) >= first_frame
    hot = there * np.random.default_rng(seed).poisson(photons, FRAMES)
    counts, products = sums.sector_counts.copy(), sums.sector_products.copy()
    counts[:, 2, 7] += hot
    for place, lag in enumerate(LAGS):
        products[lag:, 2, 7, place] += hot[lag:] * hot[:-lag]
    return RingSums(counts, products, sums.fine_counts)


@pytest.mark.parametrize("photons", [2.0, 5.0, 50.0])
@pytest.mark.parametrize("first_frame", [0, 30, 200])
def test_a_pixel_that_gets_hot_for_good_is_left_out_and_told(photons: float, first_frame: int) -> None:
    detector = _detector()
    said = _judged(_with_hot_pixel(_series(11), photons, first_frame), detector)
    assert {a.state for a in said} <= {DamageState.TOO_EARLY, DamageState.STEADY}
    assert max(a.log10_evidence for a in said) < 1
    told = detector.sector_glitches
    assert {glitch.sector for glitch in told} == {7}
    assert all(glitch.first_ring <= 2 <= glitch.last_ring for glitch in told)
    assert max(glitch.last_frame for glitch in told) == FRAMES - 1
    if photons == 50.0:
        assert min(glitch.first_frame for glitch in told) <= first_frame


def test_what_only_the_products_show_is_told_as_bright_pixels() -> None:
    detector = _detector()
    _judged(_with_hot_pixel(_series(11), 5.0, 200), detector)
    (glitch,) = detector.sector_glitches
    assert (glitch.bright_pixels, glitch.first_frame, glitch.last_frame) == (True, 200, FRAMES - 1)


def test_a_hot_pixel_costs_nothing_in_detection() -> None:
    structure = np.ones((FRAMES, RINGS))
    structure[:, :2] += 0.4 * np.clip((np.arange(FRAMES) - 120) / 280, 0, 1)[:, None]
    damaged = _series(4, None, structure)
    first = [
        next(a.frame for a in _judged(sums, _detector()) if a.log10_evidence > 2)
        for sums in (_with_hot_pixel(damaged, 50.0, 150), damaged)
    ]
    assert 120 < first[0] <= first[1] + 20


def test_slower_dynamics_of_whole_rings_are_no_bright_pixels() -> None:
    detector = _detector()
    gamma = np.broadcast_to(np.geomspace(0.05, 0.2, RINGS), (FRAMES, RINGS)).copy()
    gamma[200:] /= 5
    photons = np.broadcast_to(np.geomspace(0.3, 0.1, RINGS), (FRAMES, RINGS))
    plan = RingSpecklePlan(photons, gamma, np.full((FRAMES, RINGS), 0.12), PIXELS, PIXELS, SECTORS)
    said = _judged(simulate_ring_speckle(plan, LAGS, 12), detector)
    assert DamageState.DAMAGING in {a.state for a in said}
    assert {a.family for a in said if a.state is DamageState.DAMAGING} == {"dynamics"}
    assert detector.sector_glitches == ()


def test_sectors_that_are_left_alone_change_nothing() -> None:
    sums = _series(6)
    detector = _detector()
    said = _judged(sums, detector)
    assert detector.sector_glitches == ()
    # Ring sums alone say the same but for what the shares of the sectors do to the products.
    rings = DamageDetector(
        DamageSettings(systematic_rms_percent=0.0),
        0.02 * 1.3 ** np.arange(RINGS), PIXELS, PIXELS.astype(float), LAGS, 0.05, FRAMES,
    )  # fmt: skip
    whole = rings.add(sums.counts, sums.products, np.arange(1.0, FRAMES + 1))
    for ours, theirs in zip(said, whole, strict=True):
        assert ours.state is theirs.state
    (effect, error), (of_rings, error_of_rings) = (told[-1].effects["structure"] for told in (said, whole))
    assert effect == pytest.approx(of_rings, abs=0.01 * error)
    assert error == pytest.approx(error_of_rings, rel=0.02)


def test_the_cut_into_calls_does_not_matter() -> None:
    sums = _series(7, _glitch(2.0))
    at_once = _judged(sums, _detector())
    detector = _detector()
    for first in range(0, FRAMES, 7):
        part = slice(first, first + 7)
        dose = np.arange(1.0, FRAMES + 1)[part]
        detector.add(sums.sector_counts[part], sums.sector_products[part], dose)
    assert detector.assessments == at_once


def _sums(counts: np.ndarray, window: int, pixels: np.ndarray) -> SectorSums:
    products = np.repeat(counts[:, :, None], 2, axis=2).astype(float)
    pixel_frames = 10.0 * pixels
    return SectorSums(
        10 * window + 9, 10, float(window), counts.astype(float), pixel_frames, products, products
    )


def test_a_sector_is_back_after_its_products_no_longer_reach_into_the_glitch() -> None:
    pixels = np.full((2, 4), 50)
    gate = SectorGate(pixels, np.full(2, 1e6), longest_lag=16, systematic_rms=0.0)
    usual = np.full((2, 4), 1000)
    gate.learn([_sums(usual, window, pixels) for window in range(10)])
    bad = usual.copy()
    bad[1, 2] = 3000
    glitch = _looked_through(gate, _sums(bad, 10, pixels))
    assert glitch.counts.tolist() == [4000, 3000]
    assert glitch.exposure_frames == pytest.approx([10.0, 7.5])
    after = [_looked_through(gate, _sums(usual, window, pixels)) for window in (11, 12, 13)]
    assert [window.counts.tolist() for window in after] == [[4000, 4000]] * 3
    # Lag 16 reaches from the second window after the glitch still back into it.
    assert [window.products[1, 0] for window in after] == [3000, 3000, 4000]
    assert [window.products[0, 0] for window in after] == [4000] * 3


def test_most_of_a_ring_is_not_left_out() -> None:
    pixels = np.full((1, 4), 50)
    gate = SectorGate(pixels, np.full(1, 1e6), longest_lag=1, systematic_rms=0.0)
    usual = np.full((1, 4), 1000)
    gate.learn([_sums(usual, window, pixels) for window in range(10)])
    turned = np.array([[1500, 2500, 800, 3500]])
    for window in range(10, 30):
        assert _looked_through(gate, _sums(turned, window, pixels)).counts.tolist() == [8300]
    assert not gate.glitches
    # Nor has it become the usual share: turned back, all of the ring counts at once.
    assert _looked_through(gate, _sums(usual, 30, pixels)).counts.tolist() == [4000]
    assert not gate.glitches


def test_a_module_that_holds_half_of_a_ring_is_left_out() -> None:
    pixels = np.full((1, 4), 50)
    gate = SectorGate(pixels, np.full(1, 1e6), longest_lag=1, systematic_rms=0.0)
    usual = np.full((1, 4), 1000)
    gate.learn([_sums(usual, window, pixels) for window in range(10)])
    dropped = np.array([[0, 0, 1000, 1000]])
    for window in range(10, 13):
        half = _looked_through(gate, _sums(dropped, window, pixels))
        assert (half.counts.tolist(), half.exposure_frames.tolist()) == ([2000], pytest.approx([5.0]))
    assert _looked_through(gate, _sums(usual, 13, pixels)).counts.tolist() == [4000]
    assert [(glitch.sector, glitch.first_frame, glitch.last_frame) for glitch in gate.glitches] == [
        (0, 100, 129),
        (1, 100, 129),
    ]


def test_sectors_without_pixels_are_no_glitch() -> None:
    pixels = np.array([[50, 50, 50, 0]])
    gate = SectorGate(pixels, np.full(1, 1e6), longest_lag=1, systematic_rms=0.0)
    usual = np.array([[1000, 1000, 1000, 0]])
    gate.learn([_sums(usual, window, pixels) for window in range(10)])
    window = _looked_through(gate, _sums(usual, 10, pixels))
    assert (window.counts.tolist(), window.exposure_frames.tolist()) == ([3000], pytest.approx([10.0]))
    assert not gate.glitches


def test_steady_sectors_are_hardly_ever_left_out() -> None:
    """2000 windows of 30 rings of few and of many photons: some scatter by 5 sigma, no more."""
    rng = np.random.default_rng(8)
    pixels = np.full((30, 12), 50)
    mean = np.geomspace(0.3, 3000, 30)[:, None]
    gate = SectorGate(pixels, np.full(30, 1e9), longest_lag=1, systematic_rms=0.0)
    drawn = [_sums(rng.poisson(mean, pixels.shape), window, pixels) for window in range(2000)]
    drawn = [
        replace(sums, products=sums.expected * 0 + 1, expected=sums.expected * 0 + 1e6) for sums in drawn
    ]
    gate.learn(drawn[:40])
    left_out = sum(
        not np.array_equal(_looked_through(gate, sums).counts, sums.counts.sum(axis=1)) for sums in drawn
    )
    assert left_out < 60


def test_a_module_across_two_sectors_is_left_out_in_its_first_window() -> None:
    """It covers most of two sectors: by itself neither of them is far enough from usual."""
    pixels = np.full((4, SECTORS), 100)
    usual = np.full((4, SECTORS), 60)
    gate = SectorGate(pixels, np.full(4, 1e9), longest_lag=1, systematic_rms=0.0)
    first = [_sums(usual, window, pixels) for window in range(30)]
    gate.learn(
        [replace(sums, products=sums.expected * 0 + 1e6, expected=sums.expected * 0 + 1e6) for sums in first]
    )
    counts = usual.copy()
    counts[:, [11, 0]] = 80
    window = _looked_through(gate, _sums(counts, 30, pixels))
    assert window.counts.tolist() == [600] * 4
    assert {glitch.sector for glitch in gate.glitches} == {11, 0}
