"""kill -9 of the window and of the backend: one goes on without the other, and they find each other again."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from program import START_S, Program, Started, wait_until
from x_window import XWindow

pytestmark = pytest.mark.xvfb

NO_DATA_LIMIT_S = 3.0
SERIES = "stable_00001"
DETECTOR = (
    "--beamtime --scenario stable --detector eiger500k --frames 2000 --frame-time 0.05 --photons 0.1 --pace 1"
)


@pytest.fixture
def window_environment(program: Program, x_display_environment: dict[str, str]) -> dict[str, str]:
    return x_display_environment | program.variables


def _backends(program: Program) -> list[int]:
    return [pid for pid, command in program.living().items() if "--backend-only" in command]


def _kill_window(program: Program, window: Started) -> int:
    """Kill the window, see that the backend goes on without it, and return the process number of the backend."""
    before = program.status()
    os.kill(window.pid, signal.SIGKILL)
    window.wait(5.0)
    with program.listen() as listener:
        listener.until(
            lambda seen: seen.series is not None and seen.series.frames > before["series"]["frames"] + 20,
            START_S,
            "the backend goes on without a window",
        )
    pid = int(program.status()["backend"]["pid"])
    assert pid == before["backend"]["pid"]
    return pid


def _until_shown(window: XWindow) -> float:
    """Seconds until the window shows the series as alive."""
    return wait_until(
        lambda: SERIES in window.title and "NO DATA" not in window.title, START_S, "the window lives again"
    )


def _kill_backend(pid: int, window: XWindow) -> None:
    """Kill the backend and see in the title how the window tells it, and that it comes back."""
    os.kill(pid, signal.SIGKILL)
    no_data_after_s = window.until_title(f"{SERIES}: NO DATA", START_S)
    back_after_s = _until_shown(window)
    sys.stdout.write(
        f"backend killed: NO DATA after {no_data_after_s:.2f} s, back after {back_after_s:.2f} s more\n"
    )
    assert no_data_after_s < NO_DATA_LIMIT_S


def test_window_and_backend_outlive_each_other(program: Program, window_environment: dict[str, str]) -> None:
    root = str(program.root)
    program.start("simulate", "--to", root, *DETECTOR.split())
    first = program.start("--root", root, environment=window_environment)
    XWindow(first.pid, START_S).until_title(SERIES, START_S)
    backend = _kill_window(program, first)

    second = program.start("--root", root, environment=window_environment)
    window = XWindow(second.pid, START_S)
    window.until_title(SERIES, START_S)
    assert program.status()["backend"]["pid"] == backend
    assert _backends(program) == [backend]

    _kill_backend(backend, window)
    restarted = program.status()
    assert restarted["backend"]["pid"] != backend
    assert _backends(program) == [restarted["backend"]["pid"]]
    assert [row["series"] for row in restarted["runs"]] == [SERIES]

    # Until the new backend has found the series again there is none to be asked about.
    with program.listen() as listener:
        listener.until(lambda seen: seen.series is not None, START_S, "the series is followed again")
    _until_shown(window)
    # The window has started this backend itself, so it asks; the offered answer keeps the backend watching.
    window.press("ctrl+q")
    wait_until(lambda: window.dialog_is_open(second.pid), START_S, "the question about the backend")
    window.answer_dialog(second.pid)
    assert second.wait(20.0) == 0
    assert program.status()["backend"]["pid"] == restarted["backend"]["pid"]
    assert "Traceback" not in second.error, second.error
