"""Jobs on a real Slurm over a real SSH connection, across everything that may get lost on the way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import paramiko
import pytest
from click.testing import CliRunner, Result
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, make_key, running_cluster

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.folders import result_folder
from backend.dispatch.host_keys import approve_host, fetch_host_key, fingerprint
from backend.dispatch.job_script import batch_name
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from backend.dispatch.recipe import Recipe
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_login import SshAddress
from backend.dispatch.ssh_transport import SshTransport
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.settings import DispatchSettings
from backend.snapshot import JobRow
from mento_gui.commands.trust import trust

pytestmark = pytest.mark.system

WRITE_RESULT = """
import os, sys, time, h5py, numpy
with open(sys.argv[2] + "/starts", "a") as file:
    file.write("x")
while os.path.exists(sys.argv[2] + "/wait"):
    time.sleep(0.02)
with h5py.File(sys.argv[1], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
"""
CUT = "kill -9 $PPID"
"""The parent of a command given over SSH is the server's process for this connection."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


class Backend:
    """One life of a backend: ledger, connection and dispatcher on the files of a beamtime.

    The nodes know the beamtime folder by another name.
    """

    def __init__(
        self, beamtime: Path, address: SshAddress, options: SlurmOptions, submit_attempts: int = 5
    ) -> None:
        self.beamtime = beamtime
        self.ledger = Ledger(beamtime / "processed" / "ledger.sqlite")
        on_node = beamtime.parent / "on-node"
        if not on_node.exists():
            on_node.symlink_to(beamtime)
        executor = ClusterExecutor(
            SlurmScheduler(SshTransport(address), options),
            PathMap(PurePosixPath(beamtime), PurePosixPath(on_node)),
            ClusterRules(
                python=sys.executable, poll_s=0.5, unseen_s=3.0, settle_s=5.0, submit_attempts=submit_attempts
            ),
        )
        self.dispatcher = Dispatcher(
            self.ledger,
            {"xpcs": _recipe()},
            [executor],
            DispatchSettings(time_limit_s=120),
            results_of=lambda info: result_folder(beamtime / "raw", beamtime / "processed", info),
            beamtime=beamtime,
        )

    def series_ended(self) -> JobRow:
        ended = self.dispatcher.series_ended(_series(self.beamtime), 100)
        assert ended.problems == ()
        return ended.rows[0]

    @property
    def row(self) -> JobRow:
        return self.dispatcher.job_rows()[0]

    @property
    def batch_name(self) -> str:
        return batch_name(self.ledger.jobs(1)[0].intent)

    def poll_until(self, state: str, within_s: float = 60.0) -> JobRow:
        def reached() -> bool:
            self.dispatcher.poll(time.time())
            return self.row.state == state

        try:
            wait_until(reached, within_s, state)
        except pytest.fail.Exception:
            pytest.fail(f"never {state}: {self.row}")
        return self.row

    def end(self) -> None:
        self.dispatcher.close()
        self.ledger.close()


@pytest.fixture
def start(tmp_path: Path, cluster: SlurmOverSsh) -> Iterator[Callable[..., Backend]]:
    lives: list[Backend] = []
    beamtime = tmp_path / "current"
    beamtime.mkdir()

    def begin(address: SshAddress | None = None, **changes: object) -> Backend:
        programs = PurePosixPath(str(changes.pop("programs", "/usr/bin")))
        options = SlurmOptions(programs=programs, partition=str(changes.pop("partition", "short")))
        lives.append(Backend(beamtime, address or cluster.address, options, **changes))  # type: ignore[arg-type]
        return lives[-1]

    yield begin
    (beamtime / "wait").unlink(missing_ok=True)
    for life in lives:
        life.end()


def _recipe() -> Recipe:
    quoted = WRITE_RESULT.replace("{", "{{").replace("}", "}}")
    command = ["{python}", "-c", quoted, "{result}", "{beamtime}"]
    document = {"name": "xpcs", "title": "t", "description": "d", "command": command, "executor": "slurm"}
    return Recipe.model_validate(document | {"text_sha256": "5" * 64})


def _series(beamtime: Path) -> SeriesInfo:
    folder = beamtime / "raw" / "silica_00001" / "e4m"
    info = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo("silica_00001", "silica", 1, folder, info, folder / "silica_00001_master.h5", 100)


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


def _check_one_result(backend: Backend) -> None:
    """One job, which was started once, and one result that is checked."""
    (row,) = backend.dispatcher.job_rows()
    assert backend.dispatcher.result_of(row.job_id).is_good
    assert Path(row.result_path) == backend.beamtime / (
        "processed/onlineanalysis/silica_00001/e4m/silica_00001_xpcs_results.h5"
    )
    assert (backend.beamtime / "starts").read_text() == "x"


def test_from_series_end_to_checked_result(start: Callable[..., Backend], cluster: SlurmOverSsh) -> None:
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
    start: Callable[..., Backend], cluster: SlurmOverSsh, tmp_path: Path
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
    start: Callable[..., Backend], cluster: SlurmOverSsh, tmp_path: Path, first_time: str
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
    start: Callable[..., Backend], cluster: SlurmOverSsh
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


def test_the_next_backend_takes_up_a_job_that_was_started(start: Callable[..., Backend]) -> None:
    first = start()
    (first.beamtime / "wait").touch()
    first.series_ended()
    first.poll_until("running")
    first.end()
    second = start()
    (second.beamtime / "wait").unlink()
    second.poll_until("done")
    _check_one_result(second)


def test_a_backend_that_dies_in_the_submit_leaves_one_job(start: Callable[..., Backend]) -> None:
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


def test_a_cancelled_job_is_gone(start: Callable[..., Backend], cluster: SlurmOverSsh) -> None:
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


def test_a_refused_job_is_parked_and_can_be_resumed(start: Callable[..., Backend]) -> None:
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
