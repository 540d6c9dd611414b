"""The real backend as a process of its own is killed while the real window watches it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PyQt5.QtCore import QSettings

from backend.publish.client import BackendClient, is_backend_alive
from backend.snapshot import VerdictState
from mento_gui.backend_link import BackendLink
from mento_gui.backend_process import BackendProcess
from mento_gui.close_question import CloseChoice
from mento_gui.main_window import MainWindow
from mento_gui.window_wiring import wire_up

START_MS = 60_000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "gpfs"
    (root / "current" / "raw").mkdir(parents=True)
    return root


@pytest.fixture
def opened(qtbot, keep, root: Path, tmp_path: Path) -> Iterator[tuple[MainWindow, BackendProcess]]:
    link = BackendLink(BackendClient(root))
    process = BackendProcess(root, None)
    window = MainWindow(
        link,
        preferences=QSettings(str(tmp_path / "preferences.ini"), QSettings.Format.IniFormat),
        save_folder=tmp_path,
        ask_close=lambda _window: CloseChoice.STOP,
    )
    keep(window)
    wire_up(window, link, process)
    window.show()
    link.start()
    process.start()
    qtbot.waitUntil(lambda: window.newest is not None, timeout=START_MS)
    yield window, process
    window.close()


@pytest.mark.system
def test_a_killed_backend_is_no_data_within_three_seconds_and_comes_back(qtbot, opened) -> None:
    window, process = opened
    assert window.page.verdict.state is not VerdictState.NO_DATA
    killed = process.pid
    os.kill(killed, signal.SIGKILL)
    qtbot.waitUntil(lambda: window.page.verdict.state is VerdictState.NO_DATA, timeout=3000)
    qtbot.waitUntil(lambda: all(view.stale_words for view in window.page.views), timeout=1000)
    assert "ended by itself" in window.message_bar.what.text()
    qtbot.waitUntil(lambda: window.page.verdict.state is not VerdictState.NO_DATA, timeout=START_MS)
    assert process.pid not in (None, killed)
    assert not Path(f"/proc/{killed}").exists()
    assert all(not view.stale_words for view in window.page.views)


@pytest.mark.system
def test_closing_ends_the_backend_this_window_started(qtbot, opened, root: Path) -> None:
    window, process = opened
    pid = process.pid
    window.close()
    assert not Path(f"/proc/{pid}").exists()
    assert not is_backend_alive(root)
    assert not process.log_file.read_text().count("Traceback")


@pytest.mark.system
def test_a_second_window_attaches_and_takes_over_when_the_backend_is_gone(qtbot, opened, root: Path) -> None:
    _window, first = opened
    second = BackendProcess(root, None)
    with qtbot.waitSignal(second.running) as caught:
        second.start()
    assert caught.args == [False]
    assert second.pid is None
    first.leave_running()
    os.kill(first.pid, signal.SIGKILL)
    with qtbot.waitSignals([second.died, second.running], timeout=5000):
        second.ensure()
    assert second.owned
    os.kill(second.pid, signal.SIGTERM)
    second.stop()
