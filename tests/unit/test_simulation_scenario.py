"""The laws of the scenarios and the mixture that stands for a stretched relaxation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.errors import FeedbackError
from backend.simulation.relaxation import relaxation_mixture
from backend.simulation.scenario import SCENARIOS
from backend.simulation.series_plan import SeriesPlan
from backend.simulation.truth import truth_of

Q_INV_NM = np.array([0.01, 0.05, 0.2])


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_changes_before_the_onset(name: str) -> None:
    scenario = SCENARIOS[name]
    onset = scenario.onset_frame(600)
    for frame in range(600 if onset is None else onset + 1):
        assert scenario.gamma_factor(frame, 600) == 1.0
        assert np.array_equal(scenario.form_factor_change(Q_INV_NM, frame, 600), np.ones(3))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_damaging_exactly_if_the_sample_changes(name: str) -> None:
    scenario = SCENARIOS[name]
    change = (
        scenario.gamma_factor(599, 600) != 1.0 or scenario.form_factor_change(Q_INV_NM, 599, 600)[0] != 1.0
    )
    assert scenario.damaging == change == (scenario.onset_fraction is not None)


def test_aggregation_raises_low_q_only_and_slows_down() -> None:
    scenario = SCENARIOS["aggregation"]
    assert scenario.onset_frame(600) == 300
    low, middle, high = scenario.form_factor_change(Q_INV_NM, 599, 600)
    assert 1.5 < low < 1.6
    assert 1.3 < middle < low
    assert high == pytest.approx(1.0, abs=0.01)
    assert scenario.gamma_factor(599, 600) == pytest.approx(1 / 3)
    assert 1 / 3 < scenario.gamma_factor(450, 600) < 1.0


def test_acceleration_and_gelation_move_the_rate_the_other_ways() -> None:
    assert SCENARIOS["acceleration"].gamma_factor(599, 600) == pytest.approx(4.0)
    assert SCENARIOS["gelation"].gamma_factor(599, 600) == pytest.approx(0.05)


def test_beam_loss_is_nearly_dark_in_the_middle_and_back_at_the_end() -> None:
    flux = [SCENARIOS["beam-loss"].flux_factor(frame, 600) for frame in range(600)]
    assert set(flux[:300]) == {1.0}
    assert max(flux[300:400]) < 0.01
    assert set(flux[400:]) == {1.0}


def test_bubble_steps_down_once_and_renews_the_pattern_in_one_frame() -> None:
    bubble = SCENARIOS["bubble"]
    flux = np.array([bubble.flux_factor(frame, 601) for frame in range(601)])
    (step,) = np.flatnonzero(np.diff(flux))
    assert [frame for frame in range(601) if bubble.decorrelates(frame, 601)] == [step + 1]


def test_what_the_beam_does_to_the_sample_is_told_apart_from_what_the_detector_sees() -> None:
    bubble, absorber = SCENARIOS["bubble"], SCENARIOS["absorber"]
    assert (bubble.flux_factor(599, 600), bubble.exposure_factor(599, 600)) == (0.7, 1.0)
    assert (absorber.flux_factor(599, 600), absorber.exposure_factor(599, 600)) == (0.3, 0.3)
    exposure = truth_of(SeriesPlan(scenario=absorber, frames=600, frame_time_s=0.1))["exposure_s"]
    assert exposure == pytest.approx(300 * 0.1 + 300 * 0.03)


def test_top_up_is_a_saw_of_ten_teeth() -> None:
    flux = np.array([SCENARIOS["top-up"].flux_factor(frame, 600) for frame in range(600)])
    assert (flux.max(), np.count_nonzero(np.diff(flux) > 0.02)) == (1.0, 9)
    assert flux.min() == pytest.approx(0.97, abs=0.001)
    assert np.all(flux[:60] == flux[540:])


def test_early_aggregation_has_no_undamaged_part() -> None:
    early = SCENARIOS["early-aggregation"]
    assert early.onset_frame(600) == 0
    assert early.form_factor_change(Q_INV_NM, 1, 600)[0] > 1.0


def test_late_shutter_starts_with_empty_frames() -> None:
    flux = [SCENARIOS["late-shutter"].flux_factor(frame, 50) for frame in range(50)]
    assert flux == [0.0] * 5 + [1.0] * 45


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_very_short_series_have_finite_laws(name: str, frames: int) -> None:
    scenario = SCENARIOS[name]
    for frame in range(frames):
        assert 0.0 <= scenario.progress(frame, frames) <= 1.0
        assert np.isfinite(scenario.gamma_factor(frame, frames))


@settings(derandomize=True)
@example(exponent=0.79296875)
@given(exponent=st.floats(0.5, 1.0))
def test_mixture_is_the_stretched_exponential(exponent: float) -> None:
    mixture = relaxation_mixture(exponent)
    gamma_lag = np.geomspace(1e-3, 10.0, 60)
    assert mixture.weights.min() > 0
    assert mixture.weights.sum() == pytest.approx(1.0)
    error = mixture.field_correlation(gamma_lag) - np.exp(-(gamma_lag**exponent))
    assert np.abs(error).max() < 0.004


@pytest.mark.parametrize("exponent", [0.3, 1.01, 2.0, float("nan")])
def test_exponents_without_a_mixture_are_refused(exponent: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        relaxation_mixture(exponent)


@pytest.mark.parametrize(
    "bad",
    [
        {"frames": 0},
        {"frame_time_s": 0.0},
        {"frame_time_s": float("nan")},
        {"photons_per_pixel": -1.0},
        {"contrast": 0.6, "modes": 2},
        {"exponent": 1.5},
        {"sample": "../up"},
        {"sample": ""},
        {"number": 123456},
        {"seed": -1},
        {"frames_per_file": 0},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_in_words(bad: dict[str, object]) -> None:
    with pytest.raises(FeedbackError, match="cannot be simulated") as caught:
        SeriesPlan(**bad)
    assert caught.value.try_this.endswith(".")


@pytest.mark.parametrize("name", SCENARIOS)
def test_truth_is_plain_json_and_names_onset_and_law(name: str) -> None:
    plan = SeriesPlan(scenario=SCENARIOS[name], frames=100, exponent=0.8)
    truth = json.loads(json.dumps(truth_of(plan), allow_nan=False))
    assert truth["onset_frame"] == SCENARIOS[name].onset_frame(100)
    assert truth["relaxation"]["diffusion_nm2_per_s"] == plan.diffusion_nm2_per_s
    assert truth["geometry"]["beam_center_y_px"] == plan.detector.beam_center_yx_px[0]
