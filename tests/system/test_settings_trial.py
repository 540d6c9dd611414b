"""The trial of the settings dialog against the command line: the real program on a real series, the same numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend.tuning_lines import FalseAlarmsLine, ProgressLine, SeriesLine, SumLine, read_tuning_line
from mento_gui.tuning_process import TuningProcess, TuningTask

pytestmark = pytest.mark.system

LIMIT_S = 300


@pytest.mark.timeout(2 * LIMIT_S)
def test_the_window_is_told_what_the_command_line_says(qtbot, tmp_path: Path) -> None:
    program, series = [sys.executable, "-m", "mento_gui"], tmp_path / "series"
    plan = [
        "--scenario",
        "stable",
        "--detector",
        "eiger500k",
        "--frames",
        "160",
        "--frame-time",
        "0.02",
        "--seed",
        "3",
    ]
    subprocess.run(
        [*program, "simulate", "--to", str(tmp_path / "series"), *plan],
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    changes = ("damage.window_frames=8", "damage.structure_tolerance_percent=2.5")
    task = TuningTask((series,), None, changes, 3, 200)
    said: list[object] = []
    process = TuningProcess()
    process.said.connect(said.append)
    with qtbot.waitSignal(process.ended, timeout=1000 * LIMIT_S) as ended:
        process.start(task)
    assert ended.args == ["", ""]
    command = subprocess.run(
        [*program, "tune", "--json", *task.arguments], check=True, capture_output=True, timeout=LIMIT_S
    )
    lines = [read_tuning_line(line) for line in command.stdout.splitlines()]
    assert [type(line) for line in lines] == [SeriesLine, FalseAlarmsLine, SumLine]
    assert [line for line in said if not isinstance(line, ProgressLine)] == lines
    assert any(isinstance(line, ProgressLine) for line in said)
