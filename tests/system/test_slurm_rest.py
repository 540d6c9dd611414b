"""Jobs through a real slurmrestd with a token, as staff may use it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from asked_resources import what_did_not_arrive
from click.testing import CliRunner
from cluster_backend import WRITE_RESULT, ClusterBackend, python_recipe
from daemons import SYSTEM_FOLDERS, free_port, missing_programs, port_answers
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, running_cluster

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.rest_client import RestAddress
from backend.dispatch.scheduler import BatchJob, BatchRequest, BatchState
from backend.dispatch.slurm import SlurmOptions
from backend.dispatch.slurm_rest import SlurmRestScheduler
from backend.errors import DispatchError
from backend.job_plan import Resources
from backend.settings import load_settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from mento_gui.command_line import main

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

_NOBODY = 65534


class RestServer:
    """A real cluster whose controller takes tokens, and slurmrestd before it."""

    def __init__(self, cluster: SlurmOverSsh) -> None:
        self.cluster = cluster
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = shutil.which("slurmrestd", path=SYSTEM_FOLDERS)
        assert program is not None
        environment = {
            "PATH": SYSTEM_FOLDERS, "SLURM_CONF": f"{self.cluster.folder}/slurm.conf", "SLURM_JWT": "daemon",
        }  # fmt: skip
        # It refuses to run as root.
        other = _NOBODY if os.geteuid() == 0 else None
        with (self.cluster.folder / "log" / "slurmrestd.out").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-a", "rest_auth/jwt", "-s", "openapi/v0.0.38", f"127.0.0.1:{self.port}"],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=other, group=other,
                extra_groups=None if other is None else [],
            )  # fmt: skip
        wait_until(lambda: port_answers(self.port), 30.0, "slurmrestd answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def new_token(self, file: Path, lifespan_s: int = 600) -> str:
        """Store a token of the user of the tests, as ``scontrol`` prints it."""
        printed = self.cluster.slurm(
            "scontrol", "token", f"username={self.cluster.user}", f"lifespan={lifespan_s}"
        )
        assert printed.startswith("SLURM_JWT=")
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(printed)
        return printed.strip().partition("=")[2]


@pytest.fixture(scope="module")
def server() -> Iterator[RestServer]:
    if missing_programs(("slurmrestd",)):
        words = "not installed: slurmrestd; Debian: slurmrestd slurm-wlm-jwt-plugin. ./test installs them."
        if os.environ.get("CI"):
            pytest.fail(f"The tests of slurmrestd cannot run, {words}")
        pytest.skip(f"SLURMRESTD WAS NOT TESTED, {words}")
    lines = ["AuthAltTypes=auth/jwt", "AuthAltParameters=jwt_key={folder}/munge/jwt"]
    with running_cluster(lines, prepare=_make_jwt_key) as cluster:
        server = RestServer(cluster)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _make_jwt_key(folder: Path) -> None:
    key = folder / "munge" / "jwt"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(32))


@pytest.fixture
def scheduler(server: RestServer, tmp_path: Path) -> SlurmRestScheduler:
    server.new_token(tmp_path / "token")
    address = RestAddress(server.url, "v0.0.38", server.cluster.user, tmp_path / "token")
    return SlurmRestScheduler(address, SlurmOptions(partition="short"))


def request(folder: Path, key: str, script: str = "#!/bin/bash -l\nsleep 100\n") -> BatchRequest:
    return BatchRequest(
        key=key, script=script, log=PurePosixPath(folder / "50% done.txt"), time_limit_s=60.0,
        resources=Resources(nodes=1, cpus=2, memory_gb=0.5),
    )  # fmt: skip


def test_a_job_is_held_released_and_cancelled(
    scheduler: SlurmRestScheduler, server: RestServer, tmp_path: Path
) -> None:
    script = '#!/bin/bash -l\necho "job $SLURM_JOB_NAME of $HOME"\nsleep 100\n'
    taken = scheduler.submit(request(tmp_path, "rest-1", script))
    assert taken.number and not taken.refused
    (job,) = [job for job in scheduler.jobs() if job.key == "rest-1"]
    assert job.number == taken.number and job.held and job.state is BatchState.WAITING
    shown = server.cluster.slurm("scontrol", "show", "job", taken.number)
    assert "CPUs/Task=2" in shown and "MinMemoryNode=512M" in shown and "NumNodes=1" in shown
    assert "Requeue=0" in shown and "Comment=rest-1" in shown and "TimeLimit=00:02:00" in shown
    scheduler.release(job)
    log = tmp_path / "50% done.txt"
    home = f"job rest-1 of {Path('~').expanduser()}\n"
    wait_until(lambda: log.exists() and log.read_text().endswith(home), 30.0, "it writes its log")
    (job,) = [job for job in scheduler.jobs() if job.key == "rest-1"]
    assert job.state is BatchState.RUNNING and not job.held
    scheduler.cancel(job)
    wait_until(lambda: server.cluster.jobs_named("rest-1") == ["CANCELLED"], 30.0, "it is gone")
    # The number of another job is never hit.
    other = scheduler.submit(request(tmp_path, "rest-2"))
    scheduler.cancel(replace(job, number=other.number))
    assert server.cluster.jobs_named("rest-2") == ["PENDING"]
    scheduler.cancel(next(job for job in scheduler.jobs() if job.key == "rest-2"))


def test_a_refusal_is_certain_and_a_dead_controller_is_not(
    scheduler: SlurmRestScheduler, server: RestServer, tmp_path: Path
) -> None:
    address = RestAddress(server.url, "v0.0.38", server.cluster.user, tmp_path / "token")
    nowhere = SlurmRestScheduler(address, SlurmOptions(partition="nowhere"))
    refused = nowhere.submit(request(tmp_path, "rest-3"))
    assert refused.refused and "Invalid partition name" in refused.message
    server.cluster.kill_controller()
    lost = scheduler.submit(request(tmp_path, "rest-4"))
    assert not lost.refused and not lost.number
    server.cluster.start_controller()


def test_the_token_is_never_said(
    server: RestServer, scheduler: SlurmRestScheduler, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "token"
    token = file.read_text().strip().partition("=")[2]
    said = []
    file.write_text(token[:-4] + "AAAA")
    # This Slurm does not say that it was the token, so nobody can know what became of the job.
    answer = scheduler.submit(request(tmp_path, "rest-5"))
    assert not answer.number and not answer.refused
    with pytest.raises(DispatchError, match="renew the token") as wrong:
        scheduler.jobs()
    said += [answer.message, str(wrong.value)]
    file.write_text(token)
    file.chmod(0o640)
    with pytest.raises(DispatchError, match="can be read by others") as readable:
        scheduler.jobs()
    said.append(str(readable.value))
    file.chmod(0o600)
    scheduler.jobs()
    for text in (*said, caplog.text):
        assert token[:20] not in text


def test_an_expired_token_is_renewed_in_place(
    server: RestServer, scheduler: SlurmRestScheduler, tmp_path: Path
) -> None:
    server.new_token(tmp_path / "token", lifespan_s=1)

    def has_ended() -> bool:
        try:
            scheduler.jobs()
        except DispatchError:
            return True
        return False

    wait_until(has_ended, 30.0, "the token has ended")
    server.new_token(tmp_path / "token")
    scheduler.jobs()


def test_from_series_end_to_checked_result(server: RestServer, tmp_path: Path) -> None:
    current = write_beamtime_skeleton(tmp_path)
    server.new_token(tmp_path / "token")
    file = tmp_path / "settings.toml"
    file.write_text(
        f'[cluster]\nrest_url = "{server.url}"\nuser = "{server.cluster.user}"\ntoken_file = "{tmp_path}/token"\n'
        f'partition = "short"\nbeamtime_folder = "{current}"\npython = "{sys.executable}"\npoll_s = 0.5\n'
    )
    executor = open_cluster(BeamtimeFolder(current, "current"), load_settings(file), current / "processed")
    backend = ClusterBackend(current, executor, python_recipe(WRITE_RESULT, "{result}", "{beamtime}"))
    row = backend.series_ended()
    backend.poll_until("done")
    assert backend.dispatcher.result_of(row.job_id).is_good
    backend.end()


def test_what_a_recipe_asks_for_arrives_in_the_job(
    server: RestServer, scheduler: SlurmRestScheduler, tmp_path: Path
) -> None:
    assert what_did_not_arrive(scheduler, server.cluster, request(tmp_path, "rest-6")) == []


def test_an_array_is_one_job(scheduler: SlurmRestScheduler, server: RestServer, tmp_path: Path) -> None:
    script = "#!/bin/bash -l\ntouch begun-$SLURM_ARRAY_TASK_ID\nsleep 100\n"
    asked = replace(request(tmp_path, "rest-7", script), resources=Resources(cpus=1, array=3))

    def job() -> BatchJob:
        (found,) = [job for job in scheduler.jobs() if job.key == "rest-7"]
        return found

    number = scheduler.submit(asked).number
    try:
        assert job().number == number and job().held and job().state is BatchState.WAITING
        scheduler.release(job())
        begun = [tmp_path / f"begun-{task}" for task in range(3)]
        wait_until(lambda: all(file.exists() for file in begun), 60.0, "all tasks run")
        assert job().number == number and job().state is BatchState.RUNNING and not job().held
        scheduler.cancel(job())
        wait_until(lambda: job().state is BatchState.CANCELLED, 60.0, "all of it is gone")
        assert server.cluster.jobs_named("rest-7") == ["CANCELLED"] * 3
    finally:
        server.cluster.slurm("scancel", "--name=rest-7")


def test_the_doctor_asks_slurmrestd(server: RestServer, tmp_path: Path) -> None:
    current = write_beamtime_skeleton(tmp_path)
    server.new_token(tmp_path / "token")
    file = tmp_path / "settings.toml"
    file.write_text(
        f'[cluster]\nrest_url = "{server.url}"\nuser = "{server.cluster.user}"\ntoken_file = "{tmp_path}/token"\n'
        f'partition = "short"\nbeamtime_folder = "{current}"\npython = "{sys.executable}"\n'
    )

    def findings() -> dict[str, dict[str, str]]:
        ended = CliRunner().invoke(
            main, ["doctor", "--root", str(tmp_path), "--settings", str(file), "--json"]
        )
        return {row["check"]: row for row in json.loads(ended.stdout)["checks"]}

    found = findings()
    assert found["slurmrestd"]["outcome"] == found["test job"]["outcome"] == "good", found
    # Nobody logs in there.
    assert not {"log-in", "host key", "Slurm", "files, here to cluster"} & set(found)
    (tmp_path / "token").chmod(0o644)
    found = findings()
    assert found["token"]["outcome"] == "fault" and found["test job"]["found"].endswith(
        'because "token" failed.'
    )
