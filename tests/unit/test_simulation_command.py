"""``mento-gui simulate`` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.simulation.detector_model import DETECTORS
from backend.simulation.scenario import SCENARIOS
from mento_gui.commands.simulate import DETECTOR_NAMES, SCENARIO_NAMES, simulate

QUICK = "--frames 4 --frames-per-file 2 --photons 0.01"


def _run(target: Path, arguments: str) -> Result:
    return CliRunner().invoke(simulate, ["--to", str(target), *arguments.split()])


def test_names_on_the_command_line_are_those_of_the_simulation() -> None:
    assert tuple(SCENARIOS) == SCENARIO_NAMES
    assert tuple(DETECTORS) == DETECTOR_NAMES


def test_one_series_goes_directly_into_the_folder(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        f"{QUICK} --scenario aggregation --seed 3 --onset 0.25 --sample gel --number 12 --dtype uint16",
    )
    assert result.exit_code == 0, result.output
    assert "complete" in result.output
    truth = json.loads((tmp_path / "gel_00012" / "truth.json").read_text())
    assert (truth["scenario"], truth["onset_frame"], truth["seed"], truth["dtype"]) == (
        "aggregation",
        1,
        3,
        "uint16",
    )
    assert (tmp_path / "gel_00012" / "e500" / "gel_00012_data_000002.h5").exists()


def test_the_sample_is_named_after_the_scenario_and_numbers_go_on(tmp_path: Path) -> None:
    for expected in ("beam_loss_00001", "beam_loss_00002"):
        assert _run(tmp_path, f"{QUICK} --scenario beam-loss").exit_code == 0
        assert (tmp_path / expected).is_dir()


def test_a_whole_beamtime_has_one_series_per_scenario(tmp_path: Path) -> None:
    result = _run(
        tmp_path, f"{QUICK} --beamtime --scenario stable --scenario bubble --scenario stable --json"
    )
    assert result.exit_code == 0, result.output
    raw = tmp_path / "current" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == ["bubble_00002", "stable_00001", "stable_00003"]
    assert len(list((tmp_path / "current").glob("beamtime-metadata-*.json"))) == 1
    events = [json.loads(line) for line in result.output.splitlines()]
    expected = ["series-started", "file-written", "file-written", "series-ended"] * 3
    assert [event["event"] for event in events] == expected
    assert [event["complete"] for event in events] == [False, False, True, True] * 3
    seeds = {
        json.loads((raw / name / "truth.json").read_text())["seed"]
        for name in ("stable_00001", "stable_00003")
    }
    assert len(seeds) == 2, "repeated scenarios are different measurements"


def test_a_beamtime_without_choice_shows_every_scenario(tmp_path: Path) -> None:
    result = _run(tmp_path, f"{QUICK} --beamtime")
    assert result.exit_code == 0, result.output
    shown = {json.loads(path.read_text())["scenario"] for path in tmp_path.glob("current/raw/*/truth.json")}
    assert shown == set(SCENARIOS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--frames 0", "0 frames"),
        ("--photons -1", "-1.0 photons"),
        ("--contrast 1.5", "contrast 1.5"),
        ("--exponent 2", "compressed relaxation"),
        ("--frame-time 0", "frame time"),
        ("--pace 0", "--pace"),
        ("--onset 2", "--onset"),
        ("--scenario nonsense", "nonsense"),
        ("--scenario stable --scenario bubble", "--beamtime"),
        ("--sample ../x", "sample name"),
        ("--seed -4", "seed -4"),
    ],
)
def test_bad_arguments_are_refused_in_words_and_nothing_is_written(
    arguments: str, words: str, tmp_path: Path
) -> None:
    result = _run(tmp_path / "target", arguments)
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "target").exists()


def test_a_series_that_exists_is_refused_in_words(tmp_path: Path) -> None:
    assert _run(tmp_path, f"{QUICK} --number 1").exit_code == 0
    result = _run(tmp_path, f"{QUICK} --number 1")
    assert result.exit_code == 1
    assert "exists already" in result.output


def test_help_has_an_example_and_loads_no_physics() -> None:
    result = CliRunner().invoke(simulate, ["--help"])
    assert "mento-gui simulate --to" in result.output
    probe = (
        "import sys, mento_gui.commands.simulate; sys.exit('numpy' in sys.modules or 'numba' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[2], check=False).returncode
        == 0
    )
