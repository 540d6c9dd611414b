"""The folder of the sockets: found by everyone of one user, entered by nobody else."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from backend.errors import BackendUnreachableError
from backend.publish.endpoint import endpoint_of, make_private


@pytest.fixture(params=["runtime folder", "temporary folder"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder ``mento-gui`` is made: in the user's runtime folder or, without one, below /tmp."""
    if request.param == "runtime folder":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        return tmp_path
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"mento-gui-{os.getuid()}"


def test_the_folder_is_private_whatever_the_umask(base: Path) -> None:
    before = os.umask(0)
    try:
        endpoint = endpoint_of(Path("/gpfs"))
        make_private(endpoint)
        make_private(endpoint)
    finally:
        os.umask(before)
    assert endpoint.folder.parent.parent == base
    for folder in (endpoint.folder, endpoint.folder.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not endpoint.exists


def test_each_root_has_its_own_folder_however_it_is_written(base: Path) -> None:
    assert endpoint_of(Path("/gpfs")) == endpoint_of(Path("/gpfs/../gpfs/"))
    assert endpoint_of(Path("/gpfs")) != endpoint_of(Path("/gpfs2"))
    assert endpoint_of(Path("gpfs")) == endpoint_of(Path.cwd() / "gpfs")


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o777, 0o720])
def test_a_folder_that_others_may_enter_is_refused(base: Path, mode: int) -> None:
    endpoint = endpoint_of(Path("/gpfs"))
    make_private(endpoint)
    for folder in (endpoint.folder, endpoint.folder.parent):
        folder.chmod(mode)
        with pytest.raises(BackendUnreachableError, match="is not private") as caught:
            make_private(endpoint)
        assert str(folder) in caught.value.what
        folder.chmod(0o700)
    make_private(endpoint)


def test_a_link_in_place_of_the_folder_is_refused(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    elsewhere.chmod(0o700)
    endpoint = endpoint_of(Path("/gpfs"))
    endpoint.folder.parent.mkdir(parents=True, mode=0o700)
    base.chmod(0o700)
    endpoint.folder.parent.chmod(0o700)
    endpoint.folder.symlink_to(elsewhere)
    with pytest.raises(BackendUnreachableError, match="is not private"):
        make_private(endpoint)


def test_below_tmp_the_outermost_folder_must_be_private_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outermost = tmp_path / f"mento-gui-{os.getuid()}"
    outermost.mkdir()
    outermost.chmod(0o777)
    with pytest.raises(BackendUnreachableError, match="is not private"):
        make_private(endpoint_of(Path("/gpfs")))


def test_a_file_in_place_of_the_folder_is_said_in_words(base: Path) -> None:
    endpoint = endpoint_of(Path("/gpfs"))
    base.mkdir(exist_ok=True, mode=0o700)
    endpoint.folder.parent.write_text("not a folder")
    with pytest.raises(BackendUnreachableError, match="cannot be made") as caught:
        make_private(endpoint)
    assert "XDG_RUNTIME_DIR" in caught.value.try_this
