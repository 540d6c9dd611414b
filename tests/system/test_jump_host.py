"""A host that is reached through another one only: two real SSH servers, the key of each checked."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import msgspec
import paramiko
import pytest
from click.testing import CliRunner
from cluster_backend import ClusterBackend, python_recipe
from daemons import missing_programs
from program import wait_until
from PyQt5.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from ssh_server import SshServer, make_key

from backend.beamtime.path_map import PathMap
from backend.dispatch.backoff import Backoff
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.host_keys import approve_host, fingerprint
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_login import SshAddress
from backend.dispatch.ssh_transport import SshTransport
from backend.dispatch.transport import TransportError
from backend.snapshot import BackendPart, Snapshot, Verdict, VerdictState
from mento_gui.commands.trust import trust
from mento_gui.host_approval import HostApproval

pytestmark = pytest.mark.system

_BACKEND = BackendPart(
    version="", host="", pid=1, root="", beamtime_id="", beamtime_title="", watching="", waiting_for="",
    phase="waiting", started_at=0.0,
)  # fmt: skip
NOTHING = Snapshot(
    sequence=1, produced_at=0.0, backend=_BACKEND, verdict=Verdict(state=VerdictState.IDLE, why="", do="")
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SshServer]:
    yield from _running(SshServer(tmp_path / "node"))


@pytest.fixture
def gateway(tmp_path: Path, node: SshServer) -> Iterator[SshServer]:
    """Lets connections through to the node alone and runs no commands for anybody."""
    only = [f"PermitOpen 127.0.0.1:{node.port}", "ForceCommand /bin/false"]
    yield from _running(SshServer(tmp_path / "gateway", only))


@pytest.fixture
def through(node: SshServer, gateway: SshServer) -> SshAddress:
    return replace(node.address, jump=gateway.address)


def _running(server: SshServer) -> Iterator[SshServer]:
    assert missing_programs(("sshd", "ssh-keygen")) == []
    server.prepare()
    server.start()
    yield server
    server.kill()


def test_commands_run_on_the_node_and_nothing_on_the_jump_host(
    through: SshAddress, node: SshServer, gateway: SshServer
) -> None:
    transport = SshTransport(through)
    try:
        said = transport.run(["/bin/sh", "-c", 'cat; echo "$SSH_CONNECTION"'], stdin="over two hosts\n")
    finally:
        transport.close()
    assert said.exit_code == 0 and said.output.startswith("over two hosts\n")
    # The node speaks with the port that the jump host dialled.
    assert said.output.split()[-1] == str(node.port)
    assert node.log.count("Accepted publickey") == 1 and gateway.log.count("Accepted publickey") == 1


@pytest.mark.parametrize("wrong_one", ["gateway", "node"])
def test_the_key_of_each_host_is_checked(
    through: SshAddress, node: SshServer, gateway: SshServer, tmp_path: Path, wrong_one: str
) -> None:
    make_key(tmp_path / "other")
    other = paramiko.PKey.from_path(tmp_path / "other")
    server = {"gateway": gateway, "node": node}[wrong_one]
    approve_host(server.known_hosts, "127.0.0.1", server.port, other)
    with pytest.raises(TransportError) as caught:
        SshTransport(through).run(["/bin/true"])
    shown = fingerprint(server.host_key)
    assert (
        f"[127.0.0.1]:{server.port} shows another host key" in caught.value.what
        and shown in caught.value.what
    )
    assert ("--via" in caught.value.try_this) == (wrong_one == "node")
    assert node.log.count("Accepted publickey") == 0


def test_a_jump_host_that_does_not_let_through_is_told(through: SshAddress) -> None:
    elsewhere = replace(through, port=1)
    approve_host(elsewhere.known_hosts, "127.0.0.1", 1, paramiko.RSAKey.generate(2048))
    with pytest.raises(TransportError, match=r"The jump host .* does not reach \[127.0.0.1\]:1"):
        SshTransport(elsewhere).run(["/bin/true"])


def test_a_broken_way_is_made_anew(through: SshAddress, gateway: SshServer) -> None:
    transport = SshTransport(through, Backoff(0.1, 0.5))
    try:
        assert transport.run(["/bin/echo", "first"]).output == "first\n"
        children = Path(f"/proc/{_pid(gateway)}/task/{_pid(gateway)}/children")
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)

        def again() -> bool:
            try:
                return transport.run(["/bin/echo", "second"]).output == "second\n"
            except TransportError:
                return False

        wait_until(again, 20.0, "a command runs again")
    finally:
        transport.close()


def test_the_node_is_approved_through_the_jump_host(node: SshServer, gateway: SshServer) -> None:
    file = gateway.known_hosts
    shown = fingerprint(node.host_key)
    arguments = ["127.0.0.1", "--port", str(node.port), "--known-hosts", str(file), "--fingerprint", shown]
    way = ["--via", f"{gateway.user}@127.0.0.1:{gateway.port}", "--key", str(gateway.key_file)]
    said = CliRunner().invoke(trust, [*arguments, *way])
    assert said.exit_code == 0, said.output
    address = replace(node.address, known_hosts=file, jump=gateway.address)
    transport = SshTransport(address)
    try:
        assert transport.run(["/bin/echo", "known"]).output == "known\n"
    finally:
        transport.close()
    # The server of the node saw the key exchange and one log-in, never the key for the jump host.
    assert node.log.count("Accepted publickey") == 1


def test_the_window_asks_for_the_jump_host_and_then_through_it(
    qtbot: QtBot, through: SshAddress, node: SshServer, gateway: SshServer, tmp_path: Path
) -> None:
    file = tmp_path / "our_known_hosts"
    assert through.jump is not None
    address = replace(through, known_hosts=file, jump=replace(through.jump, known_hosts=file))
    (beamtime := tmp_path / "current").mkdir()
    paths = PathMap(PurePosixPath(beamtime), PurePosixPath(beamtime))
    slurm = SlurmScheduler(SshTransport(address, Backoff(0.1, 0.2)), SlurmOptions())
    executor = ClusterExecutor(slurm, paths, ClusterRules(python=sys.executable, poll_s=0.1))
    backend = ClusterBackend(beamtime, executor, python_recipe("pass", leaves_files=False))
    window = QWidget()
    qtbot.addWidget(window)
    approval = HostApproval(window)

    def is_asked_about(server: SshServer) -> bool:
        backend.dispatcher.poll(time.time())
        waiting = backend.dispatcher.outages.untrusted_host
        approval.consider(msgspec.structs.replace(NOTHING, untrusted_host=waiting))
        return approval.dialog.isVisible() and approval.dialog.fingerprint.text() == fingerprint(
            server.host_key
        )

    def approve() -> None:
        approval.dialog.compared.click()
        approval.dialog.approve.click()

    try:
        backend.series_ended()
        qtbot.waitUntil(lambda: is_asked_about(gateway), timeout=30000)
        assert "asked through" not in approval.dialog.words.text()
        approve()
        qtbot.waitUntil(lambda: is_asked_about(node), timeout=30000)
        assert f"asked through [127.0.0.1]:{gateway.port}," in approval.dialog.words.text()
        assert node.log.count("Accepted publickey") == 0
        approve()
        transport = SshTransport(address)
        try:
            assert transport.run(["/bin/echo", "through"]).output == "through\n"
        finally:
            transport.close()
    finally:
        backend.end()


@pytest.mark.parametrize("way", ["gateway", "@gateway", "user@", "user@gateway:ssh"])
def test_a_way_that_cannot_be_read_is_refused(way: str) -> None:
    said = CliRunner().invoke(trust, ["node", "--via", way, "--key", "key"])
    assert said.exit_code == 2 and "USER@HOST" in said.output


def _pid(server: SshServer) -> int:
    return int((server.folder / "pids" / "sshd.pid").read_text())
