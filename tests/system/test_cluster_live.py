"""The whole path: a series ends, its job runs on the cluster, and the result confirms the live curve."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cluster_settings_file import cluster_settings_file
from program import START_S, Program
from recorded_detector import RecordedDetector, RecordedSeries
from slurm_over_ssh import running_cluster

from backend.dispatch.recipe import text_sha256
from backend.dispatch.recipe_folder import load_recipes

pytestmark = pytest.mark.system


def _write_recipe(shared: Path) -> None:
    """The built-in analysis under its own name, for the cluster."""
    command = [list(part) if isinstance(part, tuple) else part for part in load_recipes()[0]["xpcs"].command]
    lines = [
        'name = "xpcs"',
        'title = "Full correlation"',
        'description = "On the cluster."',
        f"command = {command}",
        'executor = "slurm"',
    ]
    (shared / "recipes").mkdir(parents=True)
    (shared / "recipes" / "xpcs.toml").write_text("\n".join(lines), encoding="utf-8")


def test_a_series_that_ends_is_confirmed_by_the_cluster(
    program: Program, raw: Path, long_recording: RecordedSeries
) -> None:
    with running_cluster() as cluster:
        _write_recipe(raw.parent / "shared")
        program.start_backend("--settings", str(cluster_settings_file(program, cluster)))
        detector = RecordedDetector(raw, long_recording)
        detector.begin()
        with program.listen() as listener:
            detector.finish()
            seen = listener.until(
                lambda now: bool(now.jobs) and now.jobs[0].state in ("done", "failed", "parked"),
                START_S,
                "the job is over",
            )
        (job,) = seen.jobs
        assert (job.state, job.executor) == ("done", "slurm"), job
        confirmed = seen.confirmed_g2
        assert confirmed is not None and confirmed.agreement == "confirmed"
        assert confirmed.job_id == job.job_id and len(confirmed.q_inv_nm) == 10
        assert float(np.nanmax(confirmed.z_score)) < 1e-6
        assert Path(job.result_path).is_relative_to(program.root / "current" / "processed")
        with h5py.File(job.result_path, "r") as file:
            facts = {name: value[()].decode() for name, value in file["/entry/mento_gui/job"].items()}
        text = (raw.parent / "shared" / "recipes" / "xpcs.toml").read_text(encoding="utf-8")
        assert facts == {"key": job.job_id, "recipe": "xpcs", "recipe_sha256": text_sha256(text)}
        listed = program.run("jobs", "--root", str(program.root))
        assert job.job_id in listed.output and "done (slurm)" in listed.output
