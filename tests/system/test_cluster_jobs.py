"""Jobs on a real Slurm over a real SSH connection, across everything that may get lost on the way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
import pytest
from asked_resources import what_did_not_arrive
from click.testing import CliRunner, Result
from cluster_backend import WRITE_RESULT, ClusterBackend, python_recipe
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, make_key, running_cluster

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.host_keys import approve_host, fetch_host_key, fingerprint
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from backend.dispatch.scheduler import BatchRequest
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_login import SshAddress
from backend.dispatch.ssh_transport import SshTransport
from mento_gui.commands.trust import trust

pytestmark = pytest.mark.system

CUT = "kill -9 $PPID"
"""The parent of a command given over SSH is the server's process for this connection."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def start(tmp_path: Path, cluster: SlurmOverSsh) -> Iterator[Callable[..., ClusterBackend]]:
    lives: list[ClusterBackend] = []
    beamtime = tmp_path / "current"
    beamtime.mkdir()

    (tmp_path / "on-node").symlink_to(beamtime)

    def begin(address: SshAddress | None = None, **changes: Any) -> ClusterBackend:
        programs = PurePosixPath(changes.pop("programs", "/usr/bin"))
        options = SlurmOptions(programs=programs, partition=changes.pop("partition", "short"))
        executor = ClusterExecutor(
            SlurmScheduler(SshTransport(address or cluster.address), options),
            # The nodes know the beamtime folder by another name.
            PathMap(PurePosixPath(beamtime), PurePosixPath(tmp_path / "on-node")),
            ClusterRules(python=sys.executable, poll_s=0.5, unseen_s=3.0, settle_s=5.0, **changes),
        )
        recipe = python_recipe(WRITE_RESULT, "{result}", "{beamtime}")
        lives.append(ClusterBackend(beamtime, executor, recipe))
        return lives[-1]

    yield begin
    (beamtime / "wait").unlink(missing_ok=True)
    for life in lives:
        life.end()


def _wrapped_sbatch(folder: Path, first_time: str) -> Path:
    """Slurm's programs, except that the first ``sbatch`` does something else."""
    folder.mkdir()
    for name in ("squeue", "scontrol", "scancel", "sacct"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    program = folder / "sbatch"
    program.write_text(
        f'#!/bin/sh\nif mkdir {folder}/once 2>/dev/null; then\n{first_time}\nfi\nexec sbatch "$@"\n'
    )
    program.chmod(0o755)
    return folder


def _check_one_result(backend: ClusterBackend) -> None:
    """One job, which was started once, and one result that is checked."""
    (row,) = backend.dispatcher.job_rows()
    assert backend.dispatcher.result_of(row.job_id).is_good
    assert Path(row.result_path) == backend.beamtime / (
        "processed/onlineanalysis/silica_00001/e4m/silica_00001_xpcs_results.h5"
    )
    assert (backend.beamtime / "starts").read_text() == "x"


def test_from_series_end_to_checked_result(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh
) -> None:
    backend = start()
    (backend.beamtime / "wait").touch()
    row = backend.series_ended()
    backend.poll_until("submitted")
    # Its number stands in the ledger before it may start.
    assert backend.ledger.jobs(1)[0].status.identity
    assert cluster.jobs_named(backend.batch_name) == ["PENDING"]
    backend.poll_until("running")

    def has_claimed() -> bool:
        backend.dispatcher.poll(time.time())
        return backend.row.started_at is not None

    wait_until(has_claimed, 20.0, "the job has claimed its work")
    assert backend.row.executor == "slurm"
    (backend.beamtime / "wait").unlink()
    done = backend.poll_until("done")
    assert done.reason == "The result is complete and checked."
    _check_one_result(backend)
    states = [step.state for step in backend.ledger.job_history(row.job_id)]
    assert states[0] == "queued" and states[1] == "submitted" and states[-1] == "done"


def test_a_wrong_host_key_stops_before_anything_is_sent(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    make_key(other)
    wrong = paramiko.PKey.from_path(other)
    approve_host(tmp_path / "known_hosts", "127.0.0.1", cluster.port, wrong)
    log = cluster.folder / "log" / "sshd.log"
    log_before = log.read_text().count("Accepted publickey")
    backend = start(replace(cluster.address, known_hosts=tmp_path / "known_hosts"))
    backend.series_ended()
    backend.dispatcher.poll(time.time())
    shown = fingerprint(fetch_host_key("127.0.0.1", cluster.port))
    assert backend.row.state == "queued"
    assert f"It shows {shown}, approved is {fingerprint(wrong)}" in backend.row.reason
    assert f"mento-gui trust 127.0.0.1 --port {cluster.port}" in backend.row.try_this
    assert log.read_text().count("Accepted publickey") == log_before
    assert cluster.jobs_named(backend.batch_name) == []
    approve_host(
        tmp_path / "known_hosts", "127.0.0.1", cluster.port, fetch_host_key("127.0.0.1", cluster.port)
    )
    backend.poll_until("done")
    _check_one_result(backend)


@pytest.mark.parametrize(
    "first_time",
    [CUT, f'sbatch "$@"; {CUT}', f'sbatch "$@"; sbatch "$@"; {CUT}', "sbatch \"$@\"; echo 'sbatch: error: Socket timed "
     "out on send/recv operation' >&2; exit 1"],
    ids=["before it is taken", "after it is taken", "after it is taken twice", "with a false refusal"],
)  # fmt: skip
def test_a_connection_cut_in_the_submit_leaves_exactly_one_job(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh, tmp_path: Path, first_time: str
) -> None:
    programs = _wrapped_sbatch(tmp_path / "programs", first_time.replace("; echo", ">/dev/null; echo"))
    backend = start(programs=programs)
    (backend.beamtime / "wait").touch()
    backend.series_ended()
    backend.dispatcher.poll(time.time())
    assert backend.row.state == "unknown" and "No answer whether" in backend.row.reason
    backend.poll_until("running")
    alive = [state for state in cluster.jobs_named(backend.batch_name) if state != "CANCELLED"]
    assert alive == ["RUNNING"]
    (backend.beamtime / "wait").unlink()
    backend.poll_until("done")
    _check_one_result(backend)


def test_a_controller_killed_right_after_the_submit_loses_nothing(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh
) -> None:
    backend = start()
    backend.series_ended()
    backend.dispatcher.poll(time.time())
    cluster.kill_controller()
    assert backend.row.state == "submitted"
    backend.dispatcher.poll(time.time())
    assert backend.row.state == "unknown" and "gave no answer" in backend.row.reason
    cluster.start_controller()
    backend.poll_until("done", within_s=100.0)
    _check_one_result(backend)


def test_the_next_backend_takes_up_a_job_that_was_started(start: Callable[..., ClusterBackend]) -> None:
    first = start()
    (first.beamtime / "wait").touch()
    first.series_ended()
    first.poll_until("running")
    first.end()
    second = start()
    (second.beamtime / "wait").unlink()
    second.poll_until("done")
    _check_one_result(second)


def test_a_backend_that_dies_in_the_submit_leaves_one_job(start: Callable[..., ClusterBackend]) -> None:
    first = start()
    first.series_ended()
    store = first.ledger.update_job

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    first.ledger.update_job = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.dispatcher.poll(time.time())
    first.ledger.update_job = store  # type: ignore[method-assign]
    first.end()
    second = start()
    assert second.row.state == "queued"
    second.poll_until("done")
    _check_one_result(second)


def test_a_cancelled_job_is_gone(start: Callable[..., ClusterBackend], cluster: SlurmOverSsh) -> None:
    backend = start()
    (backend.beamtime / "wait").touch()
    row = backend.series_ended()
    backend.poll_until("running")
    wait_until((backend.beamtime / "starts").exists, 20.0, "the command has begun")
    backend.dispatcher.cancel(row.job_id)
    backend.poll_until("cancelled")
    wait_until(lambda: processes_marked(JOB_MARK, row.job_id) == [], 20.0, "its processes are gone")
    # The job says that it has stopped a moment before Slurm has cleared up.
    wait_until(
        lambda: cluster.jobs_named(backend.batch_name) == ["CANCELLED"], 20.0, "Slurm has finished with it"
    )


def test_a_refused_job_is_parked_and_can_be_resumed(start: Callable[..., ClusterBackend]) -> None:
    refused = start(partition="nowhere", submit_attempts=1)
    row = refused.series_ended()
    parked = refused.poll_until("parked")
    assert "invalid partition specified: nowhere" in parked.reason and "retry" in parked.try_this
    refused.end()
    mended = start()
    mended.dispatcher.poll(time.time())
    assert mended.row.state == "parked"
    assert mended.dispatcher.resume(row.job_id).state == "queued"
    mended.poll_until("done")
    _check_one_result(mended)


def test_what_a_recipe_asks_for_arrives_in_the_job(cluster: SlurmOverSsh, tmp_path: Path) -> None:
    transport = SshTransport(cluster.address)
    try:
        script = "#!/bin/bash -l\ntrue\n"
        asked = BatchRequest(
            key="asks-1", script=script, log=PurePosixPath(tmp_path / "log"), time_limit_s=60.0
        )
        assert what_did_not_arrive(SlurmScheduler(transport, SlurmOptions()), cluster, asked) == []
    finally:
        transport.close()


def test_first_contact(cluster: SlurmOverSsh, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    shown = fingerprint(paramiko.PKey.from_path(cluster.folder / "ssh" / "host"))

    def say(*arguments: str, answer: str = "") -> Result:
        common = ["127.0.0.1", "--port", str(cluster.port), "--known-hosts", str(file)]
        return CliRunner().invoke(trust, [*common, *arguments], input=answer)

    refused = say(answer="n\n")
    assert refused.exit_code == 1 and shown in refused.output and not file.exists()
    wrong = say("--fingerprint", "SHA256:" + "A" * 43)
    assert wrong.exit_code == 1 and shown in wrong.output and not file.exists()
    assert say("--fingerprint", shown).exit_code == 0
    assert (
        SshTransport(replace(cluster.address, known_hosts=file)).run(["/bin/echo", "a'b"]).output == "a'b\n"
    )
    assert "approved already" in say().output


def test_streams_and_time_limits_of_a_command(cluster: SlurmOverSsh) -> None:
    transport = SshTransport(cluster.address)
    try:
        both = "head -c 4000000 /dev/zero; head -c 4000000 /dev/zero >&2; exit 3"
        said = transport.run(["/bin/sh", "-c", both])
        assert (said.exit_code, len(said.output), len(said.error)) == (3, 4_000_000, 4_000_000)
        assert transport.run(["/bin/cat"], stdin="x" * 300_000).output == "x" * 300_000
        assert transport.run(["/bin/sh", "-c", CUT]).exit_code is None
        assert transport.run(["/bin/sleep", "60"], timeout_s=0.5).exit_code is None
        assert transport.run(["/bin/echo", "again"]).output == "again\n"
    finally:
        transport.close()
