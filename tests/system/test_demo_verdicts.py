"""``mento-gui demo`` in its own processes: the verdict turns when it should and only then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from program import Program, program_in

from backend.simulation.scenario import SCENARIOS

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

FRAMES = 600
DEMO_S = 300.0


class Demo:
    """What a finished demo has printed and left behind."""

    def __init__(self, program: Program, *scenarios: str) -> None:
        wanted = [argument for name in scenarios for argument in ("--scenario", name)]
        arguments = ["--headless", "--json", "--speed", "8", "--frames", str(FRAMES)]
        ended = program.run("demo", *wanted, *arguments, within_s=DEMO_S)
        self.code = ended.process.returncode
        self.error = ended.error
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in ended.output.splitlines()]
        self.processes_left = program.living()
        self.files_left = list(program.temporary.iterdir())

    def events(self, kind: str, scenario: str) -> list[dict[str, Any]]:
        """Lines of one kind about the series of one scenario."""
        start = scenario.replace("-", "_") + "_0"
        return [line for line in self.lines if line["event"] == kind and line["series"].startswith(start)]

    def states(self, scenario: str) -> list[str]:
        """The words of the verdict on a series in their order."""
        return [line["state"] for line in self.events("verdict", scenario)]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield Demo(program, "aggregation")


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield Demo(program, "stable", "bubble", "beam-loss")


def test_damage_is_called_after_its_true_onset_and_not_before(damaged: Demo) -> None:
    onset = SCENARIOS["aggregation"].onset_frame(FRAMES)
    assert onset is not None
    verdicts = damaged.events("verdict", "aggregation")
    good = [line["frame"] for line in verdicts if line["state"] == "GOOD"]
    damaging = [line["frame"] for line in verdicts if line["state"] == "DAMAGING"]
    assert good and good[0] < onset
    assert damaging and damaging[0] > onset
    assert damaged.states("aggregation")[-1] == "DAMAGING"
    first = next(line for line in verdicts if line["state"] == "DAMAGING")
    assert "limit" in first["why"] and first["do"]
    earliest, latest = first["onset_interval"]
    assert earliest - FRAMES / 20 <= onset <= latest + FRAMES / 20
    assert not [line for line in verdicts if line["frame"] < onset and line["state"] in ("WATCH", "DAMAGING")]


def test_the_series_ends_complete_and_its_job_confirms_the_live_g2(damaged: Demo) -> None:
    (ended,) = damaged.events("series-ended", "aggregation")
    assert (ended["status"], ended["frames"], ended["verdict"]) == ("complete", FRAMES, "DAMAGING")
    jobs = damaged.events("job", "aggregation")
    assert {job["recipe"] for job in jobs} == {"xpcs"}
    assert len({job["job_id"] for job in jobs}) == 1
    assert (jobs[-1]["state"], jobs[-1]["agreement"]) == ("done", "confirmed"), jobs[-1]


@pytest.mark.parametrize("which", ["damaged", "harmless"])
def test_a_demo_ends_well_and_leaves_nothing_behind(which: str, request: pytest.FixtureRequest) -> None:
    demo: Demo = request.getfixturevalue(which)
    assert demo.code == 0, demo.error
    assert demo.lines[-1] == {"event": "end"}
    assert demo.processes_left == {}
    assert demo.files_left == []
    assert "Traceback" not in demo.error


@pytest.mark.parametrize("scenario", ["stable", "bubble", "beam-loss"])
def test_what_harms_nothing_is_never_called_damage(harmless: Demo, scenario: str) -> None:
    states = harmless.states(scenario)
    assert "GOOD" in states
    assert "DAMAGING" not in states
    (ended,) = harmless.events("series-ended", scenario)
    assert (ended["status"], ended["frames"], ended["verdict"]) == ("complete", FRAMES, "GOOD")


def test_a_stable_series_is_only_too_early_and_then_good(harmless: Demo) -> None:
    assert harmless.states("stable") == ["TOO EARLY", "GOOD"]
