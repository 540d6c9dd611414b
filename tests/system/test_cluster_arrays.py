"""Recipes whose job is an array, on a real Slurm over a real SSH connection."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from cluster_backend import ClusterBackend
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, running_cluster

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.job import DoneRecord, read_record
from backend.dispatch.job_tasks import ended_file
from backend.dispatch.recipe import Recipe
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_transport import SshTransport

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

TASKS = 5
SCRIPT = """
echo x >> {beamtime}/starts-{task}
while [ -e {beamtime}/wait ]; do sleep 0.05; done
[ ! -e {beamtime}/fail-{task} ] || { echo "no such dark file"; exit 4; }
echo task,of > part.csv
echo {task},{tasks} >> part.csv
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def backend(tmp_path: Path, cluster: SlurmOverSsh) -> Iterator[ClusterBackend]:
    beamtime = tmp_path / "current"
    beamtime.mkdir()
    life = begin(beamtime, cluster)
    yield life
    (beamtime / "wait").unlink(missing_ok=True)
    life.end()


def begin(beamtime: Path, cluster: SlurmOverSsh) -> ClusterBackend:
    on_node = beamtime.parent / "on-node"
    if not on_node.exists():
        on_node.symlink_to(beamtime)
    executor = ClusterExecutor(
        SlurmScheduler(SshTransport(cluster.address), SlurmOptions(partition="short")),
        PathMap(PurePosixPath(beamtime), PurePosixPath(on_node)),
        ClusterRules(python=sys.executable, poll_s=0.5, unseen_s=3.0, settle_s=3.0),
    )
    return ClusterBackend(beamtime, executor, recipe())


def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "parts", "title": "t", "description": "d", "script": SCRIPT, "executor": "slurm",
            "resources": {"array": TASKS, "cpus": 1}, "text_sha256": "6" * 64,
            "outputs": [{"file": "part.csv", "kind": "csv"}],
        }
    )  # fmt: skip


def starts(beamtime: Path) -> list[str]:
    return [(beamtime / f"starts-{task}").read_text() for task in range(TASKS)]


def tasks_run(cluster: SlurmOverSsh, name: str) -> bool:
    # Two nodes of two processors: the fifth waits for one of the others.
    return cluster.jobs_named(name).count("RUNNING") == 4


def test_all_tasks_run_once_and_their_files_are_joined(
    backend: ClusterBackend, cluster: SlurmOverSsh
) -> None:
    (backend.beamtime / "wait").touch()
    row = backend.series_ended()
    backend.poll_until("running")
    wait_until(lambda: tasks_run(cluster, backend.batch_name), 30.0, "four tasks run")
    # Why the fifth waits, Slurm says once it has looked at it.
    counted = "4 tasks run, 0 have ended, the others wait (Waiting for "
    backend.poll_until(lambda row: row.reason.startswith(counted), "the tasks are counted")
    (backend.beamtime / "wait").unlink()
    done = backend.poll_until("done")
    assert backend.dispatcher.result_of(row.job_id).is_good
    names = [f"silica_00001_parts_{task}_part.csv" for task in range(TASKS)]
    assert [Path(output.path).name for output in done.outputs] == names
    texts = [Path(output.path).read_text() for output in done.outputs]
    assert texts == [f"task,of\n{task},{TASKS}\n" for task in range(TASKS)]
    assert starts(backend.beamtime) == ["x\n"] * TASKS
    intent = backend.ledger.jobs(1)[0].intent
    words = [read_record(ended_file(intent, task), DoneRecord) for task in range(TASKS)]
    assert [word.outcome for word in words if word is not None] == ["done"] * TASKS


def test_a_failed_task_is_named_and_the_job_can_be_tried_again(backend: ClusterBackend) -> None:
    (backend.beamtime / "fail-3").touch()
    row = backend.series_ended()
    failed = backend.poll_until("failed")
    assert failed.reason == "Task 3 of 5 failed. The command ended with exit code 4."
    log = backend.dispatcher.details(row.job_id).log
    assert "task 3: no such dark file" in log
    (backend.beamtime / "fail-3").unlink()
    backend.dispatcher.resume(row.job_id)
    backend.poll_until("done")
    assert starts(backend.beamtime) == ["x\nx\n"] * TASKS


def test_a_cancelled_array_is_gone_with_the_tasks_that_wait(
    backend: ClusterBackend, cluster: SlurmOverSsh
) -> None:
    (backend.beamtime / "wait").touch()
    row = backend.series_ended()
    backend.poll_until("running")
    wait_until(lambda: tasks_run(cluster, backend.batch_name), 30.0, "four tasks run")
    backend.dispatcher.cancel(row.job_id)
    backend.poll_until("cancelled")
    over = ("CANCELLED", "COMPLETED")
    wait_until(
        lambda: all(state in over for state in cluster.jobs_named(backend.batch_name)), 20.0, "all have ended"
    )
    assert not (backend.beamtime / "starts-4").exists()
    assert not list(backend.beamtime.rglob("*part.csv"))


def test_a_task_that_slurm_killed_is_named(backend: ClusterBackend, cluster: SlurmOverSsh) -> None:
    (backend.beamtime / "wait").touch()
    backend.series_ended()
    backend.poll_until("running")
    wait_until(lambda: tasks_run(cluster, backend.batch_name), 30.0, "four tasks run")
    number = backend.ledger.jobs(1)[0].status.identity.split(" ")[0]
    # As the kernel does when memory runs out: the wrapper has no time for a word.
    cluster.slurm("scancel", "--signal=KILL", "--full", f"{number}_2")
    wait_until(
        lambda: cluster.jobs_named(backend.batch_name).count("RUNNING") == 4, 30.0, "the last one runs"
    )
    (backend.beamtime / "wait").unlink()
    failed = backend.poll_until("failed")
    assert failed.reason.startswith("Task 2: ") and "task 2 left no word" in failed.reason, failed


def test_the_next_backend_takes_up_an_array(backend: ClusterBackend, cluster: SlurmOverSsh) -> None:
    (backend.beamtime / "wait").touch()
    backend.series_ended()
    backend.poll_until("running")
    backend.dispatcher.close()
    second = begin(backend.beamtime, cluster)
    try:
        (backend.beamtime / "wait").unlink()
        second.poll_until("done")
        assert starts(backend.beamtime) == ["x\n"] * TASKS
        assert len(cluster.jobs_named(second.batch_name)) == TASKS
    finally:
        second.end()


def test_an_answer_that_was_lost_leaves_one_array(backend: ClusterBackend, cluster: SlurmOverSsh) -> None:
    backend.series_ended()
    backend.dispatcher.poll(time.time())
    cluster.kill_controller()
    backend.dispatcher.poll(time.time())
    assert backend.row.state == "unknown"
    cluster.start_controller()
    backend.poll_until("done", within_s=100.0)
    assert starts(backend.beamtime) == ["x\n"] * TASKS
