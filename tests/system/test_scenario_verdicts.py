"""Simulated detector files replayed by the program: damage is found, faults of the detector are not taken for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import Program, program_in

pytestmark = pytest.mark.system

FRAMES = 300
# Some twenty seconds on a computer that does nothing else.
SIMULATED_S, REPLAYED_S = 240.0, 240.0
HARMLESS = ("absorber", "module-glitch", "flashing-pixel", "hot-pixel")


class Replay:
    """What ``mento-gui replay`` says about a simulated series of each scenario."""

    def __init__(self, program: Program) -> None:
        scenarios = ("early-aggregation", *HARMLESS)
        wanted = [argument for name in scenarios for argument in ("--scenario", name)]
        to = ["--to", str(program.root), "--beamtime", "--frames", str(FRAMES), "--seed", "11"]
        program.run("simulate", *to, *wanted, within_s=SIMULATED_S)
        raw = program.root / "current" / "raw"
        ended = program.run("replay", str(raw), "--json", within_s=REPLAYED_S)
        self.code, self.error = ended.process.returncode, ended.error
        self._lines = [json.loads(line) for line in ended.output.splitlines()]
        self._folders = {folder.name[:-6].replace("_", "-"): folder for folder in raw.iterdir()}

    def truth(self, scenario: str) -> dict[str, Any]:
        """``truth.json`` of a scenario."""
        return json.loads(Path(self._folders[scenario] / "truth.json").read_text())

    def said(self, scenario: str) -> list[dict[str, Any]]:
        """Its changes of verdict."""
        name = self._folders[scenario].name
        return [line for line in self._lines if line["event"] == "verdict" and line["series"] == name]

    def last(self, scenario: str) -> str:
        """Its last word."""
        name = self._folders[scenario].name
        return next(
            line["verdict"] for line in self._lines if line["event"] == "summary" and line["series"] == name
        )


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield Replay(program)


@pytest.mark.timeout(SIMULATED_S + REPLAYED_S)
def test_all_series_are_read(replay: Replay) -> None:
    assert replay.code == 0, replay.error
    assert "Traceback" not in replay.error


def test_damage_from_the_first_frame_on_is_found(replay: Replay) -> None:
    truth, said = replay.truth("early-aggregation"), replay.said("early-aggregation")
    assert (truth["onset_frame"], truth["damaging"]) == (0, True)
    assert said[-1]["state"] == replay.last("early-aggregation") == "DAMAGING"
    assert said[-1]["family"] == "structure"
    assert said[-1]["frame"] < FRAMES / 2
    assert said[-1]["onset_interval"][0] <= 20


@pytest.mark.parametrize("scenario", HARMLESS)
def test_what_harms_nothing_is_never_called_damage(replay: Replay, scenario: str) -> None:
    assert replay.truth(scenario)["damaging"] is False
    assert "DAMAGING" not in {line["state"] for line in replay.said(scenario)}
    assert replay.last(scenario) == "GOOD"


def test_a_verdict_says_what_it_stands_on(replay: Replay) -> None:
    (ground, *_) = replay.said("early-aggregation")[-1]["grounds"]
    assert ground["log10_evidence"] > ground["log10_alarm"]
    assert ground["effect_percent"] - 1.6 * ground["effect_err_percent"] > ground["tolerance_percent"]
    assert 1 in ground["rings"]


def test_less_beam_is_less_dose_in_the_truth(replay: Replay) -> None:
    absorber, glitch = replay.truth("absorber"), replay.truth("module-glitch")
    assert glitch["exposure_s"] == pytest.approx(FRAMES * glitch["frame_time_s"])
    assert absorber["exposure_s"] == pytest.approx(0.65 * glitch["exposure_s"])
