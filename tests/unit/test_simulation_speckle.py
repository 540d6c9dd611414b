"""Contrast, g2, speckle size, I(q) and flux of the movie come out as set, within three sigma, at fixed seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.damage.exposure import between_frames, within_frame
from backend.simulation.detector_model import EIGER_500K, MASK_DEAD, RADIUS_BINS_PER_PIXEL, DetectorModel
from backend.simulation.scenario import SCENARIOS, Scenario
from backend.simulation.series_plan import SeriesPlan, SimulationError
from backend.simulation.speckle import INSTANTS_APART, SpeckleMovie

SMALL = DetectorModel(
    name="small",
    folder="small",
    description="part of a detector",
    shape_yx=(256, 256),
    module_yx=(256, 256),
    gap_yx=(1, 1),
    distance_m=10.0,
    beam_center_yx_px=(-150.0, -40.0),
    beam_stop_radius_px=0.0,
    noisy_pixels=0,
    dead_pixels=0,
)
QUIET = SeriesPlan(
    detector=SMALL,
    frames=200,
    photons_per_pixel=0.5,
    form_factor_length_nm=0.0,
    i0_noise_rms=0.0,
    diffusion_nm2_per_s=300.0,
    seed=5,
)


def _frames(plan: SeriesPlan) -> np.ndarray:
    movie = SpeckleMovie(plan)
    return np.stack([movie.next_frame() for _ in range(plan.frames)])


def _q_map(detector: DetectorModel) -> np.ndarray:
    return detector.q_inv_nm(detector.radius_bin() / RADIUS_BINS_PER_PIXEL)


def _z_score(difference: np.ndarray) -> float:
    """Mean over its standard error, from 64 blocks that are many speckles wide."""
    blocks = difference.astype(np.float64).reshape(8, 32, 8, 32).mean(axis=(1, 3))
    return float(blocks.mean() / (blocks.std(ddof=1) / 8))


def _decay(plan: SeriesPlan, gamma_per_s: np.ndarray, lag: int) -> np.ndarray:
    """(g2 - 1) / contrast of an unchanging sample: the mean over all pairs of instants of frames ``lag`` apart."""
    apart_s = INSTANTS_APART * plan.count_time_s
    pairs_s = np.abs(lag * plan.frame_time_s + apart_s * np.array([-1, 0, 0, 1]))
    return np.mean([np.exp(-2 * (gamma_per_s * lag_s) ** plan.exponent) for lag_s in pairs_s], axis=0)


def _correlation(frames: np.ndarray, mean: float, lag: int) -> np.ndarray:
    """<n n'> / mean^2 of each pixel; at lag 0 the factorial moment, free of counting noise."""
    counts = frames.astype(np.float32)
    if lag == 0:
        return (counts * (counts - 1)).mean(axis=0) / mean**2
    return (counts[lag:] * counts[:-lag]).mean(axis=0) / mean**2


@pytest.mark.parametrize(
    ("contrast", "modes", "exponent"),
    [(0.2, 1, 1.0), (1.0, 1, 1.0), (1 / 3, 3, 1.0), (0.3, 2, 1.0), (0.2, 1, 0.7)],
)
def test_contrast_and_g2_are_those_of_the_plan(contrast: float, modes: int, exponent: float) -> None:
    plan = replace(QUIET, contrast=contrast, modes=modes, exponent=exponent)
    frames = _frames(plan)
    gamma_per_s = plan.gamma_per_s(_q_map(SMALL))
    for lag in (0, 1, 4, 10):
        decay = _decay(plan, gamma_per_s, lag)
        assert abs(_z_score(_correlation(frames, 0.5, lag) - (1 + contrast * decay))) < 3, f"lag {lag}"


@pytest.mark.parametrize("decay", [0.01, 0.1, 0.5, 1.0])
def test_two_instants_blur_nearly_as_the_whole_exposure(decay: float) -> None:
    """``decay`` of g2 - 1 during the exposure; the largest of the usual series is 0.5."""
    apart = INSTANTS_APART * decay
    assert (1 + np.exp(-apart)) / 2 == pytest.approx(within_frame(np.array(decay)), abs=decay**2 / 36)
    assert (1 + np.cosh(apart)) / 2 == pytest.approx(between_frames(np.array(decay)), abs=decay**2 / 30)


def test_a_sample_that_moves_on_renews_its_speckle_at_the_same_rate_at_all_q() -> None:
    plan = replace(QUIET, scenario=replace(SCENARIOS["drift"], renewals=40.0), contrast=1.0)
    frames = _frames(plan)
    gamma_per_s = plan.gamma_per_s(_q_map(SMALL))
    for lag in (1, 4):
        decay = _decay(plan, gamma_per_s + 40.0 / (plan.frames * plan.frame_time_s), lag)
        assert abs(_z_score(_correlation(frames, 0.5, lag) - (1 + decay))) < 3, f"lag {lag}"


def test_a_glitch_blinds_a_part_of_the_detector_for_a_while_and_nothing_else() -> None:
    plan = replace(QUIET, scenario=SCENARIOS["module-glitch"])
    spoilt, whole = _frames(plan), _frames(replace(plan, scenario=SCENARIOS["stable"]))
    dropped = np.zeros((256, 256), bool)
    dropped[128:, 192:] = True
    assert np.array_equal(spoilt[:, ~dropped], whole[:, ~dropped])
    blind = ~spoilt[:, dropped].any(axis=1)
    assert np.flatnonzero(blind).tolist() == list(range(100, 110))
    assert np.array_equal(spoilt[~blind], whole[~blind])


def test_masked_pixels_neither_drop_out_nor_flash() -> None:
    noisy = replace(SMALL, name="noisy", noisy_pixels=3000)
    frames = {
        name: _frames(replace(QUIET, detector=noisy, scenario=SCENARIOS[name], frames=40))
        for name in ("module-glitch", "flashing-pixel")
    }
    for counts in frames.values():
        assert np.all(counts[:, noisy.pixel_mask() != 0] == np.iinfo(counts.dtype).max)


def test_one_pixel_flashes_now_and_then_in_the_second_half() -> None:
    plan = replace(QUIET, scenario=SCENARIOS["flashing-pixel"])
    extra = _frames(plan).astype(int) - _frames(replace(plan, scenario=SCENARIOS["stable"]))
    frame, y, x = np.nonzero(extra)
    assert set(zip(y.tolist(), x.tolist(), strict=True)) == {(128, 77)}
    assert set(extra[frame, y, x]) == {500}
    assert frame.min() >= 100 and 1 <= frame.size <= 15


def test_g2_keeps_to_a_changing_rate() -> None:
    plan = replace(QUIET, scenario=SCENARIOS["acceleration"], contrast=1.0, frames=160)
    frames = _frames(plan)
    gamma_per_s = plan.gamma_per_s(_q_map(SMALL))
    within_s = INSTANTS_APART * plan.count_time_s
    # Every step from frame 140 on has its own rate, so each pair of neighbours has its own decay.
    decay = np.zeros_like(gamma_per_s)
    for frame in range(141, 160):
        before, now = (plan.scenario.gamma_factor(number, plan.frames) for number in (frame - 1, frame))
        between_s = (plan.frame_time_s - within_s) * now
        pairs_s = [between_s + before * a * within_s + now * b * within_s for a in (0, 1) for b in (0, 1)]
        decay += np.mean([np.exp(-2 * gamma_per_s * lag_s) for lag_s in pairs_s], axis=0) / 19
    assert abs(_z_score(_correlation(frames[140:], 0.5, 1) - (1 + decay))) < 3


def test_negative_binomial_counts_for_equal_modes() -> None:
    frames = _frames(replace(QUIET, contrast=0.5, modes=2, diffusion_nm2_per_s=1e5))
    # P(0) of a negative binomial with M modes: (1 + mean / M)^-M. So fast, the two instants have their own each.
    assert abs(_z_score((frames == 0).mean(axis=0) - (1 + 0.5 / 4) ** -4.0)) < 3


@pytest.mark.parametrize("width_px", [1.5, 3.0])
def test_speckles_have_the_size_set(width_px: float) -> None:
    plan = replace(QUIET, contrast=1.0, speckle_size_px=width_px, photons_per_pixel=5.0, frames=40)
    frames = _frames(replace(plan, diffusion_nm2_per_s=1e5)).astype(np.float64) / 5.0
    for distance in (1, 2):
        # So fast, the two instants of a frame are independent.
        expected = 0.5 * 2.0 ** -((2 * distance / width_px) ** 2)
        for axis in (1, 2):
            shifted = np.roll(frames, distance, axis=axis)
            assert abs(_z_score((frames * shifted).mean(axis=0) - 1 - expected)) < 3


def test_form_factor_and_mean_photons_on_a_real_detector() -> None:
    plan = SeriesPlan(frames=12, photons_per_pixel=0.2, i0_noise_rms=0.0, contrast=0.0, seed=3)
    movie = SpeckleMovie(plan)
    total = np.zeros(EIGER_500K.shape_yx)
    for _ in range(plan.frames):
        total += np.where(movie.pixel_mask == 0, movie.next_frame(), 0)
    good = movie.pixel_mask == 0
    photons = total[good].sum()
    assert photons == pytest.approx(0.2 * 12 * good.sum(), abs=3 * np.sqrt(photons))
    q_inv_nm = _q_map(EIGER_500K)
    low, high = (good & (q_inv_nm > low) & (q_inv_nm < low * 1.1) for low in (0.04, 0.15))
    expected = plan.form_factor(q_inv_nm[low]).mean() / plan.form_factor(q_inv_nm[high]).mean()
    ratio = total[low].mean() / total[high].mean()
    assert ratio == pytest.approx(
        expected, abs=3 * ratio * np.sqrt(1 / total[low].sum() + 1 / total[high].sum())
    )


def test_beam_stop_casts_a_shadow_and_defects_read_as_documented() -> None:
    movie = SpeckleMovie(SeriesPlan(frames=1, photons_per_pixel=2.0, dtype="uint16"))
    frame = movie.next_frame()
    radius_px = EIGER_500K.radius_bin() / RADIUS_BINS_PER_PIXEL
    good = movie.pixel_mask == 0
    inside = frame[good & (radius_px < EIGER_500K.beam_stop_radius_px)].mean()
    outside = frame[good & (radius_px > 50) & (radius_px < 60)].mean()
    assert inside < 0.01 * outside
    assert (frame[movie.pixel_mask == MASK_DEAD] == 0).all()
    assert (frame[~good & (movie.pixel_mask != MASK_DEAD)] == 65535).all()


def test_aggregation_raises_the_low_rings_by_the_true_amount() -> None:
    plan = SeriesPlan(
        scenario=SCENARIOS["aggregation"],
        frames=2,
        photons_per_pixel=5.0,
        contrast=0.0,
        i0_noise_rms=0.0,
        seed=2,
    )
    first, last = _frames(plan).astype(np.float64)
    q_inv_nm = _q_map(EIGER_500K)
    good = SpeckleMovie(plan).pixel_mask == 0
    for low in (0.02, 0.05, 0.15):
        ring = good & (q_inv_nm > low) & (q_inv_nm < low * 1.15)
        weights = plan.form_factor(q_inv_nm[ring])
        change = plan.scenario.form_factor_change(q_inv_nm[ring], 1, 2)
        expected = (weights * change).sum() / weights.sum()
        ratio = last[ring].sum() / first[ring].sum()
        assert ratio == pytest.approx(expected, abs=3 * ratio * np.sqrt(2 / first[ring].sum()))


def test_bubble_decorrelates_at_once_and_dims_all_rings() -> None:
    plan = replace(QUIET, scenario=SCENARIOS["bubble"], contrast=1.0, diffusion_nm2_per_s=0.1, frames=40)
    counts = _frames(plan).astype(np.float64)
    before, after = counts[:20], counts[20:]
    within = (before[:10].mean(axis=0) * before[10:].mean(axis=0)).mean() / before.mean() ** 2 - 1
    across = (before.mean(axis=0) * after.mean(axis=0)).mean() / before.mean() / after.mean() - 1
    assert within > 0.9
    assert abs(across) < 0.05
    assert after.mean() / before.mean() == pytest.approx(0.7, abs=0.05)


def test_beam_noise_has_the_amplitude_and_memory_set() -> None:
    plan = replace(
        QUIET, i0_noise_rms=0.1, i0_correlation_s=0.5, contrast=0.0, photons_per_pixel=20.0, frames=1500
    )
    plan = replace(plan, detector=replace(SMALL, shape_yx=(16, 16)))
    intensity = _frames(plan).mean(axis=(1, 2)) / 20.0 - 1
    independent = 1500 * 0.05 / (2 * 0.5)
    assert intensity.std() == pytest.approx(0.1, abs=3 * 0.1 / np.sqrt(2 * independent))
    memory = np.mean(intensity[1:] * intensity[:-1]) / np.mean(intensity**2)
    assert memory == pytest.approx(np.exp(-0.1), abs=0.04)


def test_same_seed_same_frames_and_only_then() -> None:
    plan = replace(QUIET, frames=3)
    assert np.array_equal(_frames(plan), _frames(plan))
    assert not np.array_equal(_frames(plan), _frames(replace(plan, seed=6)))
    wide, narrow = _frames(plan), _frames(replace(plan, dtype="uint16"))
    assert wide.dtype == np.uint32
    assert narrow.dtype == np.uint16
    assert np.array_equal(wide, narrow)


def test_a_reused_buffer_gets_the_same_frame() -> None:
    plan = replace(QUIET, frames=2)
    movie = SpeckleMovie(plan)
    buffer = np.full(SMALL.shape_yx, 9, np.uint32)
    movie.next_frame(buffer)
    assert movie.next_frame(buffer) is buffer
    assert np.array_equal(buffer, _frames(plan)[1])


def test_a_detector_without_good_pixels_is_refused() -> None:
    blind = replace(SMALL, shape_yx=(4, 4), module_yx=(4, 4), noisy_pixels=16)
    with pytest.raises(SimulationError, match="no good pixel"):
        SpeckleMovie(replace(QUIET, detector=blind, scenario=Scenario("x", "y.")))
