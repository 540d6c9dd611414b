"""A window never listens in a folder where somebody else could speak for the backend."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.errors import BackendUnreachableError
from backend.publish.client import BackendClient, is_backend_alive
from backend.publish.endpoint import Endpoint, endpoint_of
from mento_gui.command_line import main


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Sockets in a folder that was made by somebody else before: others may enter it."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    endpoint = endpoint_of(tmp_path)
    endpoint.folder.mkdir(parents=True)
    (tmp_path / f"mento-gui-{os.getuid()}").chmod(0o777)
    (endpoint.folder / "requests").touch()
    return endpoint


def test_no_client_listens_where_others_may_enter(foreign: Endpoint, tmp_path: Path) -> None:
    assert foreign.exists
    with pytest.raises(BackendUnreachableError, match="not private"):
        BackendClient(tmp_path)
    assert not is_backend_alive(tmp_path)


def test_status_says_so(foreign: Endpoint, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["status", "--root", str(tmp_path)])
    assert outcome.exit_code == 1
    assert "is not private to this user" in outcome.output
