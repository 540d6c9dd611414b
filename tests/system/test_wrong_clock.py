"""A cluster whose clock is hours away: everything works, and both times are said. The clock is moved by libfaketime."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner
from cluster_backend import WRITE_RESULT, ClusterBackend, python_recipe
from program import wait_until
from slurm_over_ssh import SlurmOverSsh, running_cluster
from ssh_server import SshServer

from backend.beamtime.path_map import PathMap
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_transport import SshTransport
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from mento_gui.command_line import main

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "not installed: libfaketime; Debian: faketime. ./test installs it."
    return found[0]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


@pytest.mark.parametrize(("shift", "way"), [("-3h", "behind"), ("+3h", "ahead of")])
def test_a_job_on_a_node_with_a_wrong_clock(
    cluster: SlurmOverSsh, tmp_path: Path, shift: str, way: str
) -> None:
    beamtime = tmp_path / "current"
    beamtime.mkdir()
    wrong = (f"export LD_PRELOAD={library()}", f"export FAKETIME={shift}")
    executor = ClusterExecutor(
        SlurmScheduler(SshTransport(cluster.address), SlurmOptions(partition="short")),
        PathMap(PurePosixPath(beamtime), PurePosixPath(beamtime)),
        ClusterRules(python=sys.executable, setup=wrong, poll_s=0.5, unseen_s=3.0, settle_s=3.0),
    )
    backend = ClusterBackend(beamtime, executor, python_recipe(WRITE_RESULT, "{result}", "{beamtime}"))
    try:
        (beamtime / "wait").touch()
        began = time.time()
        row = backend.series_ended()
        running = backend.poll_until(
            lambda row: row.state == "running" and row.started_at is not None, "it has begun", within_s=100.0
        )
        assert running.started_at is not None and began <= running.started_at <= time.time()
        (notice,) = backend.dispatcher.clocks.notices
        assert f"3.0 h {way} this computer's" in notice.what and row.job_id in notice.what
        # What is shown does not move while it runs.
        looks = iter(range(20))
        backend.poll_until(lambda _: next(looks) == 10, "some looks later")
        assert backend.row.started_at == running.started_at
        (beamtime / "wait").unlink()
        done = backend.poll_until("done")
        assert done.started_at is not None and done.ended_at is not None
        assert began <= done.started_at <= done.ended_at <= time.time()
        assert backend.dispatcher.result_of(row.job_id).is_good
        assert (beamtime / "starts").read_text() == "x"
    finally:
        backend.end()


def test_the_doctor_says_both_times(tmp_path: Path) -> None:
    wrong = SshServer(tmp_path / "node", [f"SetEnv LD_PRELOAD={library()} FAKETIME=-3h"])
    wrong.prepare()
    wrong.start()
    try:
        current = write_beamtime_skeleton(tmp_path)
        file = tmp_path / "settings.toml"
        file.write_text(
            f'[cluster]\nhost = "127.0.0.1"\nport = {wrong.port}\nuser = "{wrong.user}"\n'
            f'key_file = "{wrong.key_file}"\nknown_hosts = "{wrong.known_hosts}"\n'
            f'beamtime_folder = "{current}"\npython = "{sys.executable}"\n'
        )
        hour = time.strftime("%Y-%m-%d %H:", time.localtime(time.time() - 3 * 3600))
        ended = CliRunner().invoke(
            main, ["doctor", "--root", str(tmp_path), "--settings", str(file), "--job-wait", "0", "--json"]
        )
        rows = {row["check"]: row for row in json.loads(ended.stdout)["checks"]}
        assert rows["clock"]["outcome"] == "fault", rows
        assert "s behind this one" in rows["clock"]["found"] and f"({hour}" in rows["clock"]["found"]
        assert "NTP" in rows["clock"]["try_this"]
    finally:
        wrong.kill()
        wait_until(lambda: wrong.kill_connections() == 0, 20.0, "no connection is left")
