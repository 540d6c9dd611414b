"""CorMap as a display: uniform without a difference, small with one, blind to the beam, silent without its package."""

from __future__ import annotations

import numpy as np
import pytest
from speckle_series import batch_of, series_info, speckle_frames

import backend.correlation.cormap as cormap_module
from backend.correlation.cormap import cormap_p_value
from backend.series_analysis import SeriesAnalysis
from backend.settings import Settings
from backend.snapshot_parts import intensity_part

PIXELS = np.full(180, 500.0)
FORM = 2.0 / (1 + np.linspace(0, 3, 180) ** 2)


def _noisy(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    return rng.poisson(mean * 500 * 50) / (500 * 50)


def test_p_is_that_of_a_fair_coin_where_nothing_differs() -> None:
    rng = np.random.default_rng(4)
    found = [cormap_p_value(_noisy(rng, FORM), _noisy(rng, FORM), PIXELS) for _ in range(400)]
    p_values = np.array(found, float)
    # Runs are whole numbers, so p is at least its nominal value.
    assert np.mean(p_values < 0.05) < 0.09
    assert np.mean(p_values < 0.6) > 0.4


def test_the_beam_is_no_difference_and_a_rise_at_low_q_is_one() -> None:
    rng = np.random.default_rng(5)
    brighter = cormap_p_value(_noisy(rng, FORM), _noisy(rng, 0.4 * FORM), PIXELS)
    rise = 1 + 0.2 * (np.arange(180) < 60)
    risen = cormap_p_value(_noisy(rng, FORM), _noisy(rng, rise * FORM), PIXELS)
    assert brighter is not None and brighter > 0.01
    assert risen is not None and risen < 1e-6


@pytest.mark.parametrize("bins", [300, 2048])
def test_very_many_bins_are_joined(bins: int) -> None:
    rng = np.random.default_rng(6)
    first, now = rng.uniform(1, 2, (2, bins))
    p_value = cormap_p_value(first, now, np.ones(bins))
    assert p_value is not None and 0 < p_value <= 1


def test_bins_without_photons_are_left_out() -> None:
    rng = np.random.default_rng(7)
    first, now = _noisy(rng, FORM), _noisy(rng, FORM)
    first[:40], now[150:] = 0.0, 0.0
    assert cormap_p_value(first, now, PIXELS) == cormap_p_value(first[40:150], now[40:150], PIXELS[40:150])
    assert cormap_p_value(first[:45], now[:45], PIXELS[:45]) is None


def test_nothing_is_said_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cormap_module, "cormap", None)
    assert cormap_p_value(FORM, FORM[::-1], PIXELS) is None


def test_it_is_shown_once_frames_follow_the_first_ones() -> None:
    frames = speckle_frames(128, seed=9)
    analysis = SeriesAnalysis(series_info(len(frames)), Settings())
    shown = []
    for first in (0, 64):
        analysis.add(batch_of(frames[first : first + 64], first))
        result = analysis.g2()
        assert result is not None
        shown.append(intensity_part(analysis, result).cormap_p)
    analysis.finish()
    assert shown[0] is None
    assert shown[1] is not None and 0 <= shown[1] <= 1
