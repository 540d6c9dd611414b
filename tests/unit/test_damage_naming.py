"""Which family a change of g2 belongs to, and what a slow sample may do that its first frames do not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.damage.naming import FamilyOfChange, LastingName, family_of_change
from backend.damage.noise_model import NoiseModel, fit_noise_model
from backend.damage.windows import Window

LAGS = np.array([1, 2, 4, 8, 16])
RATES = np.array([0.05, 0.1, 0.2])
CONTRAST = 0.2


def _window(
    index: int,
    excess: np.ndarray,
    rng: np.random.Generator,
    pairs: float = 4000.0,
    lags: np.ndarray = LAGS,
) -> Window:
    """Ten frames with this g2 - 1, shape (ring, lag), and counting noise."""
    expected = np.full(excess.shape, pairs)
    # n (n - 1) counts every pair twice.
    variance = np.where(lags == 0, 2, 1) * expected * (1 + excess)
    products = rng.normal(expected * (1 + excess), np.sqrt(variance))
    return Window(10 * index + 9, 10, index + 1.0, np.full(3, 1e4), np.full(3, 10.0), products, expected)


def _excess(contrast: float = CONTRAST, faster: float = 1.0) -> np.ndarray:
    return contrast * np.exp(-2 * faster * RATES[:, None] * LAGS)


def _assert_told(change: FamilyOfChange, family: str) -> None:
    assert (change.family, change.told) == (family, True)


def _model() -> NoiseModel:
    return NoiseModel(CONTRAST, RATES, RATES, np.zeros(3), 1e-3, np.full(3, 1e5), 0.0, 1.0)


@pytest.mark.parametrize(
    ("after", "family"),
    [
        (_excess(faster=2.0), "dynamics"),
        (_excess(faster=0.3), "dynamics"),
        (_excess(contrast=0.5 * CONTRAST), "contrast"),
        (_excess(contrast=1.5 * CONTRAST), "contrast"),
    ],
    ids=["faster", "slower", "contrast lost", "contrast gained"],
)
def test_the_shape_of_the_change_tells_its_family(after: np.ndarray, family: str) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        unchanged = [_window(index, _excess(), rng) for index in range(12)]
        changed = [_window(12 + index, after, rng) for index in range(12)]
        _assert_told(
            family_of_change(_model(), LAGS, [*unchanged, *changed], unchanged[-1].last_frame), family
        )


def _changed_in_the_middle(
    truth: NoiseModel, lags: np.ndarray, seed: int, after: np.ndarray, pairs: float = 4000.0
) -> list[Window]:
    rng = np.random.default_rng(seed)
    before = truth.excess(lags)
    return [_window(index, before if index < 12 else after, rng, pairs, lags) for index in range(24)]


def test_the_pairs_of_a_frame_tell_sooner() -> None:
    """A change so small that without lag 0 it is often not told."""
    named = {}
    for first in (0, 1):
        lags = np.array([0, *LAGS])[first:]
        model = _model()
        told = 0
        for seed in range(60):
            family = ("dynamics", "contrast")[seed % 2]
            after = model.excess(lags, 1.5) if family == "dynamics" else 0.75 * model.excess(lags)
            change = family_of_change(
                model, lags, _changed_in_the_middle(model, lags, seed, after, pairs=600.0), 119
            )
            told += change.told and change.family == family
        named[first] = told
    assert named[0] > named[1] + 10


@pytest.mark.parametrize("truly_exposed", [0.0, 1.0])
@pytest.mark.parametrize("told_exposed", [0.0, 1.0])
@pytest.mark.parametrize("fastest", [0.3, 1.3])
def test_motion_within_the_exposure_is_not_taken_for_lost_contrast(
    truly_exposed: float, told_exposed: float, fastest: float
) -> None:
    """Faster motion takes contrast from the frames themselves, also where the files say a wrong exposure."""
    lags = np.array([0, *LAGS])
    rates = fastest * RATES / RATES.max()
    truth = replace(_model(), gamma_per_frame=rates, exposure=truly_exposed)
    told = replace(truth, exposure=told_exposed)
    for seed in range(20):
        for faster in (1.5, 3.0):
            windows = _changed_in_the_middle(truth, lags, seed, truth.excess(lags, faster))
            change = family_of_change(told, lags, windows, 119)
            assert not (change.told and change.family == "contrast")
        windows = _changed_in_the_middle(truth, lags, seed, 0.4 * truth.excess(lags))
        change = family_of_change(told, lags, windows, 119)
        assert not (change.told and change.family == "dynamics")


def test_without_a_change_nothing_is_told() -> None:
    told = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        windows = [_window(index, _excess(), rng) for index in range(24)]
        told += family_of_change(_model(), LAGS, windows, windows[11].last_frame).told
    assert told <= 2


def test_the_latest_windows_of_a_growing_change_tell_most() -> None:
    """A change that grows from nothing and is told by the ramp, but is too small in the plain mean."""
    rng = np.random.default_rng(3)
    unchanged = [_window(index, _excess(), rng) for index in range(12)]
    grown = np.linspace(1.0, 1.9, 24)
    changed = [_window(12 + index, _excess(faster=factor), rng) for index, factor in enumerate(grown)]
    _assert_told(
        family_of_change(_model(), LAGS, [*unchanged, *changed], unchanged[-1].last_frame), "dynamics"
    )


def test_a_reference_that_is_not_what_the_model_says_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    start = 1.3 * _excess() + 0.01
    unchanged = [_window(index, start, rng) for index in range(12)]
    changed = [_window(12 + index, start - _excess() + _excess(faster=3.0), rng) for index in range(12)]
    assert (
        family_of_change(_model(), LAGS, [*unchanged, *changed], unchanged[-1].last_frame).family
        == "dynamics"
    )


@pytest.mark.parametrize(("slow", "least", "most"), [(0.0, 0.0, 0.05), (0.04, 0.04, 0.09), (0.2, 0.2, 0.25)])
def test_the_slow_part_of_the_speckle_is_bounded_from_above(slow: float, least: float, most: float) -> None:
    """g2 - 1 of two components, one of which hardly relaxes within the reference."""
    rates = np.full(3, 0.4)
    excess = CONTRAST * np.exp(-2 * rates[:, None] * LAGS) + slow
    rng = np.random.default_rng(2)
    windows = [_window(index, excess, rng) for index in range(20)]
    model = fit_noise_model(windows, LAGS, np.full(3, 1e4), 100_000, 0.0, 1.0)
    amplitude = model.slow_share * model.contrast
    assert np.all((amplitude >= 0.9 * least) & (amplitude <= most))


def test_a_sample_that_does_not_relax_in_the_reference_may_drift_as_a_whole() -> None:
    rng = np.random.default_rng(3)
    windows = [_window(index, np.full((3, 5), CONTRAST), rng) for index in range(20)]
    model = fit_noise_model(windows, LAGS, np.full(3, 1e4), 4000, 0.0, 1.0)
    assert model.slow_share == pytest.approx(1.0)
    distance = np.array([0.0, 100.0, 4000.0])
    drift = model.speckle_correlation(distance, 10)[0]
    assert drift[1] == pytest.approx(np.exp(-0.05 * np.array([1, 4, 16])).mean(), rel=1e-2)
    assert drift[2] < 0.2


def test_a_name_stands_while_its_family_explains_the_change_better() -> None:
    name = LastingName()
    odds = [("dynamics", 2.0), ("dynamics", 5.0), ("dynamics", 1.0), ("contrast", 1.0), ("dynamics", 0.5)]
    assert [name.holds(FamilyOfChange(*one)) for one in odds] == [False, True, True, False, True]


def test_a_name_gives_way_to_one_that_is_sure() -> None:
    name = LastingName()
    odds = [("dynamics", 5.0), ("contrast", 6.0), ("contrast", 1.0), ("dynamics", 4.0)]
    assert [name.holds(FamilyOfChange(*one)) for one in odds] == [True, True, True, False]
