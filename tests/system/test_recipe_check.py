"""``mento-gui recipe check`` of a recipe for the cluster: a real Slurm runs what it shows, on the last series."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_settings_file import cluster_settings_file
from program import Program
from recorded_detector import RecordedDetector, RecordedSeries
from slurm_over_ssh import running_cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

RECIPE = """
name = "parts"
title = "Parts"
description = "Counts its part of the data files."
executor = "slurm"
script = '''
echo files > count.csv
ls {folder}/*/*_data_*.h5 | awk "NR % $MENTO_TASKS == $MENTO_TASK" | wc -l >> count.csv
'''
[environment]
setup = ["GREETING=hello"]
[resources]
array = 2
cpus = 1
[[outputs]]
file = "count.csv"
kind = "csv"
"""


def test_an_array_is_tried_on_the_last_series(
    program: Program, raw: Path, long_recording: RecordedSeries
) -> None:
    detector = RecordedDetector(raw, long_recording)
    detector.begin()
    detector.finish()
    file = program.folder / "parts.toml"
    file.write_text(RECIPE, encoding="utf-8")
    with running_cluster() as cluster:
        settings = cluster_settings_file(program, cluster)
        checked = program.run(
            "recipe", "check", str(file), "--root", str(program.root), "--settings", str(settings), within_s=200.0
        )  # fmt: skip
    assert checked.process.returncode == 0, checked.output + checked.error
    said = checked.output
    # What is handed over, what then runs with which environment, and the text of the script for the first task.
    assert "--array=0-1" in said and "--hold" in said
    assert "run_job" in said and '"$SLURM_ARRAY_TASK_ID"' in said
    assert "for task 0 of 2" in said and "GREETING=hello" in said
    assert f"{program.folder}/on-node/raw/{long_recording.name}" in said
    assert "done: The result is complete and checked." in said
    scratch = program.root / "current" / "scratch_bl"
    counts = sorted(scratch.rglob("*_count.csv"))
    assert [int(count.read_text().split()[1]) for count in counts] == [8, 8]
    assert not list((program.root / "current" / "processed").rglob("*.csv"))
