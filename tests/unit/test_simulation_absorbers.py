"""Absorbers, positions and a beam that drives the motion, in simulated frames, files and truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_sample import DETECTOR, SETTINGS

from backend.acquisition.recorded_series import RecordedSeries
from backend.frames import SeriesStarted
from backend.simulation.beamtime_tree import write_series
from backend.simulation.scenario import SCENARIOS
from backend.simulation.series_plan import SeriesPlan, SimulationError
from backend.simulation.speckle import SpeckleMovie

PLAN = SeriesPlan(detector=DETECTOR, frames=8, photons_per_pixel=2.0, contrast=0.0, i0_noise_rms=0.0, seed=5)
Q_INV_NM = np.array([0.01, 0.05, 0.2])


def _photons(plan: SeriesPlan) -> int:
    movie = SpeckleMovie(plan)
    return sum(int(movie.next_frame().sum()) for _ in range(plan.frames))


def test_absorbers_take_their_share_of_the_photons() -> None:
    whole, tenth = _photons(PLAN), _photons(replace(PLAN, transmission=0.1))
    # Poisson noise of the smaller one, four standard deviations.
    assert tenth == pytest.approx(0.1 * whole, abs=4 * np.sqrt(0.1 * whole))


def test_only_a_beam_driven_sample_slows_down_behind_absorbers() -> None:
    for name, scenario in SCENARIOS.items():
        whole = replace(PLAN, scenario=scenario)
        tenth = replace(whole, transmission=0.1)
        factor = 0.1 if name == "beam-driven" else 1.0
        assert tenth.gamma_per_s(Q_INV_NM) == pytest.approx(factor * whole.gamma_per_s(Q_INV_NM))


def test_transmission_and_position_are_in_the_files(tmp_path: Path) -> None:
    plan = replace(PLAN, transmission=0.25, position_mm=(1.5, -0.02))
    folder = write_series(tmp_path, plan).folder
    source = RecordedSeries([folder], SETTINGS)
    started = [event for event in source.poll() if isinstance(event, SeriesStarted)]
    info = started[0].info
    assert info.transmission == 0.25
    assert (info.side_numbers["samx"], info.side_numbers["samz"]) == (1.5, -0.02)
    truth = json.loads((folder / "truth.json").read_text())
    assert (truth["transmission"], truth["position_mm"]) == (0.25, [1.5, -0.02])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transmission": 0.0}, "transmission 0.0"),
        ({"transmission": 1.5}, "transmission 1.5"),
        ({"position_mm": (0.0, float("nan"))}, r"position \(0.0, nan\)"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(SimulationError, match=words):
        replace(PLAN, **changes)
