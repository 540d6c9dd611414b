"""Keys, host keys and pauses, without a network; the connection itself is tested with a real server."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.backoff import Backoff
from backend.dispatch.host_keys import approve_host, check_private_key, fingerprint, read_known_hosts
from backend.dispatch.local_transport import LocalTransport
from backend.dispatch.ssh_login import SshAddress
from backend.dispatch.ssh_transport import SshTransport
from backend.dispatch.transport import TransportError
from backend.errors import BeamtimeError, DispatchError
from backend.settings import Settings, load_settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton


def key() -> paramiko.PKey:
    return paramiko.RSAKey.generate(2048)


def test_an_approved_key_replaces_the_earlier_one_of_this_host_alone(tmp_path: Path) -> None:
    file = tmp_path / "mento-gui" / "known_hosts"
    first, second, other = key(), key(), key()
    approve_host(file, "a.desy.de", 22, first)
    approve_host(file, "a.desy.de", 2222, other)
    approve_host(file, "a.desy.de", 22, second)
    known = read_known_hosts(file)
    assert known.check("a.desy.de", second) and not known.check("a.desy.de", first)
    assert known.check("[a.desy.de]:2222", other)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["known_hosts"]
    assert fingerprint(first).startswith("SHA256:") and fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "id"
    file.write_text("secret")
    file.chmod(mode)
    with pytest.raises(DispatchError, match=f"mode {mode:04o}") as caught:
        check_private_key(file)
    assert caught.value.try_this.endswith(f"chmod 600 {file}") and "secret" not in str(caught.value)
    file.chmod(0o600)
    check_private_key(file)


def test_a_file_that_is_no_key_is_told_without_its_contents(tmp_path: Path) -> None:
    private = tmp_path / "id"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n")
    private.chmod(0o600)
    approve_host(tmp_path / "known_hosts", "192.0.2.1", 22, key())
    transport = SshTransport(SshAddress("192.0.2.1", 22, "u", private, tmp_path / "known_hosts"))
    with pytest.raises(TransportError, match="cannot be used") as caught:
        transport.run(["/bin/true"])
    assert "c2VjcmV0" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_host_that_nobody_approved_is_not_spoken_to(tmp_path: Path) -> None:
    private = tmp_path / "id"
    key().write_private_key_file(str(private))
    transport = SshTransport(SshAddress("192.0.2.1", 22, "u", private, tmp_path / "known_hosts"))
    began = time.monotonic()
    with pytest.raises(TransportError, match="was never approved") as caught:
        transport.run(["/bin/true"])
    assert time.monotonic() - began < 5.0 and "mento-gui trust 192.0.2.1" in caught.value.try_this
    with pytest.raises(TransportError, match="was never approved.*tried again"):
        transport.run(["/bin/true"])


@given(st.integers(1, 200))
def test_pauses_grow_but_not_for_ever(failures: int) -> None:
    now = [5.0]
    backoff = Backoff(1.0, 60.0, lambda: now[0])
    assert backoff.wait_s == 0.0
    for _ in range(failures):
        backoff.failed()
    longest = min(60.0, 2.0 ** (failures - 1))
    assert longest / 2 <= backoff.wait_s <= longest
    now[0] += longest
    assert backoff.wait_s == 0.0
    backoff.succeeded()
    assert backoff.wait_s == 0.0


def test_commands_on_this_computer() -> None:
    transport = LocalTransport()
    said = transport.run(["/bin/sh", "-c", 'cat; echo "$LC_ALL" >&2; exit 3'], stdin="a b")
    assert said == (3, "a b", "C\n")
    assert transport.run(["/bin/sleep", "30"], timeout_s=0.1).exit_code is None
    assert transport.run(["/bin/sh", "-c", "kill -9 $$"]).exit_code is None
    with pytest.raises(TransportError, match="/no/such/sbatch cannot be started"):
        transport.run(["/no/such/sbatch"])


def test_without_a_cluster_it_is_said_what_is_missing(tmp_path: Path) -> None:
    folder = BeamtimeFolder(write_beamtime_skeleton(tmp_path), "current")
    with pytest.raises(DispatchError, match="host in section"):
        open_cluster(folder, Settings(), tmp_path)


def test_a_mask_that_the_nodes_cannot_see_is_told(tmp_path: Path) -> None:
    folder = BeamtimeFolder(write_beamtime_skeleton(tmp_path), "current")
    file = tmp_path / "settings.toml"
    lines = '[cluster]\ntransport = "local"\nbeamtime_folder = "/beamline/p10/current"\n[mask]\nfile = "{}"\n'
    file.write_text(lines.format(tmp_path / "mask.npy"))
    with pytest.raises(BeamtimeError, match="cannot be seen"):
        open_cluster(folder, load_settings(file), tmp_path)
    file.write_text(lines.format(folder.shared / "mask.npy"))
    kept = open_cluster(folder, load_settings(file), tmp_path).settings_file
    assert kept is not None
    assert str(load_settings(kept).mask.file) == "/beamline/p10/current/shared/mask.npy"
