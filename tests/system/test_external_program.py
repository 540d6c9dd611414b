"""A new user on a real Slurm over a real SSH server: drops a recipe of a foreign program, measures, sees its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_settings_file import cluster_settings_file
from program import START_S, Program
from recorded_detector import RecordedDetector, RecordedSeries
from slurm_over_ssh import running_cluster

from backend.output_view import read_output_view
from backend.snapshot import JobRow

pytestmark = pytest.mark.system

RECIPE = """
name = "size"
title = "File sizes"
description = "How large each data file is, counted by programs that know nothing of us."
executor = "slurm"
script = '''
echo "file,bytes" > sizes.csv
ls {folder}/*/*_data_*.h5 | while read -r file; do
    echo "$((count += 1)),$(stat -c %s "$file")" >> sizes.csv
done
echo "$SLURM_JOB_PARTITION $SLURM_CPUS_PER_TASK $GREETING" {frames} > where.txt
echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg== \
    | base64 -d > dot.png
'''
[environment.variables]
GREETING = "hello you"
[resources]
cpus = 2
memory_gb = 0.2
[[outputs]]
file = "sizes.csv"
kind = "csv"
x = "file"
y = ["bytes"]
finite = true
shape = { bytes = [16] }
[[outputs]]
file = "dot.png"
kind = "png"
[[outputs]]
file = "where.txt"
kind = "text"
"""


def _size_jobs(jobs: tuple[JobRow, ...]) -> list[JobRow]:
    return [job for job in jobs if job.recipe == "size"]


def test_a_dropped_recipe_runs_a_foreign_program_on_the_cluster(
    program: Program, raw: Path, long_recording: RecordedSeries
) -> None:
    with running_cluster() as cluster:
        program.start_backend("--settings", str(cluster_settings_file(program, cluster)))
        recipes = raw.parent / "shared" / "recipes"
        recipes.mkdir()
        with program.listen() as listener:
            (recipes / "size.toml").write_text(RECIPE, encoding="utf-8")
            listener.until(
                lambda now: any(row.name == "size" and not row.problem for row in now.recipes),
                START_S,
                "the recipe is known and can run",
            )
            switched = program.run("recipe", "on", "size", "--root", str(program.root))
            assert switched.process.returncode == 0, switched.error
            detector = RecordedDetector(raw, long_recording)
            detector.begin()
            detector.finish()
            seen = listener.until(
                lambda now: any(job.state in ("done", "failed", "parked") for job in _size_jobs(now.jobs)),
                START_S,
                "the job is over",
            )
        (job,) = _size_jobs(seen.jobs)
        assert (job.state, job.executor) == ("done", "slurm"), job
        assert [output.kind for output in job.outputs] == ["csv", "png", "text"]
        results = program.root / "current" / "processed" / "onlineanalysis"
        assert all(Path(output.path).is_relative_to(results) for output in job.outputs)
        sizes, dot, where = (read_output_view(output) for output in job.outputs)
        assert sizes.curves[0].y.tolist() == [file.stat().st_size for file in long_recording.data_files]
        assert dot.picture.startswith(b"\x89PNG")
        assert where.text == "short 2 hello you 160\n"
        command = ["/bin/sh", "-c", 'echo "$1" > here.txt', "sh", "{output}"]
        submitted = program.run("submit", "--root", str(program.root), "--keep", "*.txt", "--", *command)
        assert submitted.process.returncode == 0, submitted.error
        with program.listen() as listener:
            over = listener.until(
                lambda now: now.jobs[0].job_id == submitted.output.strip() and now.jobs[0].state == "done",
                START_S,
                "the submitted command is done",
            )
        # The nodes know the beamtime folder by another name.
        assert read_output_view(over.jobs[0].outputs[0]).text.startswith(str(program.folder / "on-node"))
