"""``mento-gui doctor`` before a beamtime: on a real Slurm over a real SSH server, sound and broken in each way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import paramiko
import pytest
from click.testing import CliRunner
from daemons import free_port
from slurm_over_ssh import SlurmOverSsh, make_key, running_cluster
from ssh_server import SshServer

from backend.dispatch.host_keys import approve_host, fingerprint
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from mento_gui.command_line import main

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PROGRAM = Path(sys.executable).with_name("mento-gui")


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        cluster.slurm(
            "scontrol", "create", "reservation", "reservation=beamtime", f"users={cluster.user}", "nodes=n2",
            "starttime=now", "duration=60", "flags=IGNORE_JOBS",
        )  # fmt: skip
        yield cluster


class Site:
    """A beamtime whose nodes know its folder by another name, and the settings of its cluster."""

    def __init__(self, folder: Path, cluster: SlurmOverSsh) -> None:
        self.root = folder
        self.current = write_beamtime_skeleton(folder)
        self.on_node = folder / "on-node"
        self.on_node.symlink_to(self.current)
        self.settings: dict[str, str | int] = {
            "host": "127.0.0.1", "port": cluster.port, "user": cluster.user, "key_file": str(cluster.key_file),
            "known_hosts": str(cluster.known_hosts), "partition": "short", "reservation": "beamtime",
            "python": sys.executable, "beamtime_folder": str(self.on_node),
        }  # fmt: skip

    def doctor(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the program prints for people."""
        return subprocess.run(
            [PROGRAM, *self._arguments(), *arguments],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def findings(self, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code, and the finding of each check by its name."""
        ended = CliRunner().invoke(main, [*self._arguments(), "--json", *arguments])
        assert ended.stdout, ended.stderr
        said = json.loads(ended.stdout)
        assert said["good"] == (ended.exit_code == 0)
        return ended.exit_code, {row["check"]: row for row in said["checks"]}

    def _arguments(self) -> list[str]:
        file = self.root / "settings.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in self.settings.items()]
        file.write_text("\n".join(["[cluster]", *lines, ""]))
        return ["doctor", "--root", str(self.root), "--settings", str(file)]


@pytest.fixture
def site(tmp_path: Path, cluster: SlurmOverSsh) -> Site:
    return Site(tmp_path, cluster)


def outcomes(findings: dict[str, dict[str, Any]], word: str) -> set[str]:
    return {name for name, row in findings.items() if row["outcome"] == word}


def test_a_sound_site_is_called_so(site: Site, cluster: SlurmOverSsh) -> None:
    ended = site.doctor()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 at fault" in ended.stdout and "Jobs can run." in ended.stdout
    lines = [line for line in ended.stdout.splitlines() if not line.startswith(" ")]
    words = {line[8:].partition(":")[0]: line.partition(" ")[0] for line in lines if ":" in line[8:]}
    assert "not checked" not in ended.stdout
    assert words["test job"] == words["reservation"] == words["files, cluster to here"] == "ok", ended.stdout
    assert f"for users {cluster.user}: active" in ended.stdout
    # Nothing is left behind, in the folder or in the queue.
    assert list((site.current / "processed" / "mento-gui").iterdir()) == []
    assert cluster.slurm("squeue", "-h", "-o", "%i") == ""


def test_each_fault_leaves_open_what_it_must_and_no_more(site: Site, cluster: SlurmOverSsh) -> None:
    key = site.root / "key"
    key.write_bytes(cluster.key_file.read_bytes())
    key.chmod(0o644)
    site.settings["key_file"] = str(key)
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"private key"}
    assert found["private key"]["try_this"] == f"Its owner types: chmod 600 {key}"
    assert found["host key"]["outcome"] == found["writing"]["outcome"] == "good"
    for name in ("log-in", "clock", "Slurm", "reservation", "versions", "test job"):
        assert found[name]["found"] == 'Not checked because "private key" failed.'


def test_a_wrong_host_key_is_shown_beside_the_approved_one(site: Site, cluster: SlurmOverSsh) -> None:
    make_key(site.root / "other")
    other = paramiko.PKey.from_path(site.root / "other")
    known_hosts = site.root / "known_hosts"
    approve_host(known_hosts, "127.0.0.1", cluster.port, other)
    site.settings["known_hosts"] = str(known_hosts)
    log_ins = cluster.ssh.log.count("Accepted publickey")
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"host key"}
    assert fingerprint(cluster.ssh.host_key) in found["host key"]["found"]
    assert fingerprint(other) in found["host key"]["found"]
    assert found["log-in"]["found"] == 'Not checked because "host key" failed.'
    assert cluster.ssh.log.count("Accepted publickey") == log_ins
    known_hosts.unlink()
    code, found = site.findings()
    assert "no key of it was ever approved" in found["host key"]["found"]
    assert f"mento-gui trust 127.0.0.1 --port {cluster.port}" in found["host key"]["try_this"]


def test_a_host_that_does_not_answer(site: Site) -> None:
    site.settings["port"] = free_port()
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"host key"}
    assert "does not answer as an SSH server" in found["host key"]["found"]
    assert "log-in" in outcomes(found, "not-checked")


def test_a_reservation_that_is_not_there_or_not_ours(site: Site, cluster: SlurmOverSsh) -> None:
    site.settings["reservation"] = "11001234"
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"reservation"}
    assert found["reservation"]["found"] == "Slurm knows no reservation 11001234."
    assert found["test job"]["found"] == 'Not checked because "reservation" failed.'
    assert found["versions"]["outcome"] == "good"
    cluster.slurm(
        "scontrol", "create", "reservation", "reservation=later", "users=daemon", "nodes=n1", "starttime=now+1day",
        "duration=60",
    )  # fmt: skip
    site.settings["reservation"] = "later"
    assert "is inactive; it starts" in site.findings()[1]["reservation"]["found"]
    cluster.slurm("scontrol", "delete", "reservationname=later")
    cluster.slurm(
        "scontrol", "create", "reservation", "reservation=later", "users=daemon", "nodes=n1", "starttime=now",
        "duration=60",
    )  # fmt: skip
    found = site.findings()[1]
    cluster.slurm("scontrol", "delete", "reservationname=later")
    assert found["reservation"]["outcome"] == "fault"
    assert f"{cluster.user} is not among them" in found["reservation"]["found"]
    del site.settings["reservation"]
    assert site.findings("--job-wait", "0")[1]["reservation"]["outcome"] == "note"


def test_a_partition_and_a_python_that_are_not_there(site: Site) -> None:
    site.settings |= {"partition": "nowhere", "python": "/usr/bin/python3"}
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"partition", "versions"}
    assert found["partition"]["found"] == "There is no partition nowhere."
    assert "does not have this program" in found["versions"]["found"]
    assert found["test job"]["found"] == 'Not checked because "partition" and "versions" failed.'


def test_another_folder_on_the_nodes(site: Site) -> None:
    other = site.root / "other"
    other.mkdir()
    site.settings["beamtime_folder"] = str(other)
    _, found = site.findings()
    assert outcomes(found, "fault") == {"files, here to cluster"}
    assert "was not seen there" in found["files, here to cluster"]["found"]


def test_a_job_that_never_starts_is_cancelled(site: Site, cluster: SlurmOverSsh) -> None:
    cluster.slurm("scontrol", "update", "partitionname=short", "state=inactive")
    try:
        _, found = site.findings("--job-wait", "0")
        assert found["partition"]["outcome"] == "fault"
        cluster.slurm("scontrol", "update", "partitionname=short", "state=up")
        cluster.slurm("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
        _, found = site.findings("--job-wait", "20")
    finally:
        cluster.slurm("scontrol", "update", "partitionname=short", "state=up")
        cluster.slurm("scontrol", "update", "nodename=n2", "state=resume")
    assert found["test job"]["outcome"] == "fault"
    assert "no result within 20 s and was cancelled" in found["test job"]["found"]
    assert "A node it needs is down, drained" in found["test job"]["found"]
    assert cluster.slurm("squeue", "-h", "-o", "%i") == ""


def test_a_site_whose_nodes_get_copies(site: Site, cluster: SlurmOverSsh) -> None:
    disk = site.root / "cluster-disk"
    disk.mkdir()
    site.settings |= {"files": "copy", "beamtime_folder": str(disk / "copies")}
    code, found = site.findings()
    assert code == 0, found
    assert "16 MB went to" in found["files, here to cluster"]["found"]
    assert found["test job"]["outcome"] == "good" and "files, cluster to here" not in found
    assert list(disk.rglob("doctor-*")) == []
    site.settings["beamtime_folder"] = "/proc/copies"
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"files, here to cluster"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(site: Site) -> None:
    processed = site.current / "processed"
    processed.chmod(0o550)
    _, found = site.findings()
    processed.chmod(0o770)
    assert found["writing"]["outcome"] == "fault" and "test job" in outcomes(found, "not-checked")


def test_without_a_beamtime_nothing_else_is_tried(tmp_path: Path, cluster: SlurmOverSsh) -> None:
    ended = subprocess.run(
        [PROGRAM, "doctor", "--root", tmp_path, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(ended.stdout)["checks"]
    assert ended.returncode == 1
    assert [row["check"] for row in found if row["outcome"] != "not-checked"] == ["beamtime folder"]


def test_a_site_without_metadata(site: Site) -> None:
    for file in site.current.glob("*metadata*.json"):
        file.unlink()
    code, found = site.findings()
    # All that is needed stands in the settings.
    assert code == 0 and found["metadata"]["outcome"] == "note" and found["test job"]["outcome"] == "good"
    for name in ("host", "user"):
        del site.settings[name]
    code, found = site.findings()
    assert code == 1 and outcomes(found, "fault") == {"cluster settings"}
    assert "There is no metadata file" in found["cluster settings"]["found"]


def test_a_host_behind_a_jump_host(site: Site, cluster: SlurmOverSsh, tmp_path: Path) -> None:
    gateway = SshServer(tmp_path / "gateway", [f"PermitOpen 127.0.0.1:{cluster.port}"])
    gateway.prepare()
    gateway.start()
    try:
        known_hosts = gateway.known_hosts
        site.settings |= {
            "jump_host": "127.0.0.1", "jump_port": gateway.port, "jump_key_file": str(gateway.key_file),
            "known_hosts": str(known_hosts),
        }  # fmt: skip
        code, found = site.findings("--job-wait", "0")
        assert code == 1 and outcomes(found, "fault") == {"host key"}
        assert f"--via {gateway.user}@127.0.0.1:{gateway.port}" in found["host key"]["try_this"]
        approve_host(known_hosts, "127.0.0.1", cluster.port, cluster.ssh.host_key)
        code, found = site.findings("--job-wait", "0")
        assert code == 0 and found["host key of the jump host"]["outcome"] == "good", found
    finally:
        gateway.kill()


def test_what_runs_when_a_series_ends(site: Site) -> None:
    def recipes_finding() -> dict[str, Any]:
        row: dict[str, Any] = site.findings("--job-wait", "0")[1]["recipes"]
        return row

    assert (
        recipes_finding()["outcome"] == "note" and "xpcs runs, on this computer" in recipes_finding()["found"]
    )
    folder = site.current / "shared" / "recipes"
    folder.mkdir(exist_ok=True)
    text = (resources.files("resources") / "recipes" / "xpcs.toml").read_text(encoding="utf-8")
    (folder / "xpcs.toml").write_text('executor = "slurm"\n' + text)
    assert recipes_finding()["found"] == "When a series ends, xpcs runs on the cluster."
    (folder / "xpcs.toml").write_text('executor = "moon"\n' + text)
    assert "executor" in recipes_finding()["found"]
