from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from quiet_wire import SetClock

from mento_gui.backend_process import BackendProcess, backend_command, tail_of
from mento_gui.exit_codes import ANOTHER_BACKEND_RUNS

# Stands for a backend: it says that it has begun and waits until it is told to end.
WAITS = "import signal, sys; print('begun', file=sys.stderr, flush=True); signal.pause()"
FAILS = "import sys; print('no licence to watch', file=sys.stderr); sys.exit(3)"


@pytest.fixture(autouse=True)
def _log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def exists(pid: int) -> bool:
    """Also true for a zombie."""
    return Path(f"/proc/{pid}").exists()


def process_for(tmp_path: Path, code: str, clock: SetClock, *, alive: bool = False) -> BackendProcess:
    return BackendProcess(
        tmp_path, None, command=[sys.executable, "-c", code], is_alive=lambda _root: alive, clock=clock
    )


def test_attaches_to_a_backend_that_answers(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = process_for(tmp_path, WAITS, clock, alive=True)
    with qtbot.waitSignal(process.running) as caught:
        process.start()
    assert caught.args == [False]
    assert not process.owned
    process.stop()


def test_starts_a_backend_in_its_own_session_and_ends_it(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = process_for(tmp_path, WAITS, clock)
    with qtbot.waitSignal(process.running) as caught:
        process.start()
    assert caught.args == [True]
    pid = process.pid
    assert pid is not None and process.owned
    assert os.getsid(pid) == pid != os.getsid(0)
    qtbot.waitUntil(lambda: tail_of(process.log_file) == "begun", timeout=5000)
    process._child.terminate()  # what the backend does when it is asked to end
    process.stop()
    assert not exists(pid)


def test_a_killed_backend_is_reported_and_started_again(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = process_for(tmp_path, WAITS, clock)
    process.start()
    first = process.pid
    with qtbot.waitSignal(process.died, timeout=5000) as caught:
        os.kill(first, signal.SIGKILL)
    error = caught.args[0]
    assert "ended by itself: it was killed by signal 9" in error.what
    assert error.still_works and "0.5 s" in error.try_this
    assert not exists(first)
    with qtbot.waitSignal(process.running, timeout=5000):
        clock.advance(0.6)
    assert process.owned and process.pid != first
    os.kill(process.pid, signal.SIGTERM)
    process.stop()


def test_a_refusal_because_another_backend_runs_is_no_crash(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = process_for(tmp_path, f"import sys; sys.exit({ANOTHER_BACKEND_RUNS})", clock)
    reports: list[object] = []
    process.died.connect(reports.append)
    process.start()
    with qtbot.waitSignal(process.running, timeout=5000) as caught:
        pass
    assert caught.args == [False]
    assert reports == [] and not process.owned
    process.stop()


def test_a_backend_that_fails_at_once_is_tried_less_and_less_often(
    qtbot, tmp_path: Path, clock: SetClock
) -> None:
    process = process_for(tmp_path, FAILS, clock)
    reports = []
    process.died.connect(reports.append)
    process.start()
    for attempt, delay in enumerate((0.5, 1.0, 2.0), start=1):
        qtbot.waitUntil(lambda attempt=attempt: len(reports) == attempt, timeout=5000)
        assert "no licence to watch" in reports[-1].what
        assert f"in {delay:g} s" in reports[-1].try_this
        clock.advance(delay - 0.1)
        process.check()
        assert process.pid is None
        clock.advance(0.2)
    process.leave_running()
    process.stop()


def test_a_program_that_cannot_be_started_is_reported(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = BackendProcess(
        tmp_path, None, command=[str(tmp_path / "nothing")], is_alive=lambda _root: False, clock=clock
    )
    with qtbot.waitSignal(process.died) as caught:
        process.start()
    assert "cannot be started" in caught.args[0].what
    process.stop()


def test_leaving_it_running_leaves_it_running(qtbot, tmp_path: Path, clock: SetClock) -> None:
    process = process_for(tmp_path, WAITS, clock)
    process.start()
    pid = process.pid
    process.leave_running()
    assert exists(pid)
    os.kill(pid, signal.SIGTERM)
    process.stop()
    assert not exists(pid)


def test_the_command_is_the_same_program_without_a_window(tmp_path: Path) -> None:
    command = backend_command(tmp_path, tmp_path / "settings.toml")
    assert command == [
        sys.executable,
        *("-m", "mento_gui", "--backend-only", "--root", str(tmp_path)),
        *("--settings", str(tmp_path / "settings.toml")),
    ]
    assert "--settings" not in backend_command(tmp_path, None)
