"""Finds the backend of a root folder or starts one, and starts it again when it dies."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from backend.errors import BackendUnreachableError
from backend.publish.client import is_backend_alive
from mento_gui.exit_codes import ANOTHER_BACKEND_RUNS

_CHECK_INTERVAL_MS = 250
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
# A backend that lived this long is not in a crash loop: the next restart is quick again.
_STEADY_AFTER_S = 60.0
_TAIL_BYTES = 4000
_STOP_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


class BackendProcess(QObject):
    """One backend for one root: found (``owned`` is false) or started by this window.

    ``died`` carries the error to show; ``running`` is emitted when a backend was found or started.
    """

    died = pyqtSignal(object)
    running = pyqtSignal(bool)

    def __init__(
        self,
        root: Path,
        settings_file: Path | None,
        parent: QObject | None = None,
        *,
        command: Sequence[str] | None = None,
        is_alive: Callable[[Path], bool] = is_backend_alive,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent)
        self._root = root
        self._command = list(command) if command is not None else backend_command(root, settings_file)
        self._is_alive = is_alive
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._delay_s = _FIRST_DELAY_S
        self._restart_at: float | None = None
        self.log_file = log_file_of(root)
        self._timer = QTimer(self)
        self._timer.setInterval(_CHECK_INTERVAL_MS)
        self._timer.timeout.connect(self.check)

    @property
    def owned(self) -> bool:
        """True while a backend started by this window is alive."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """Process number of the backend this window started, or ``None``."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Attach to a backend that answers, else start one; from then on keep watch over it."""
        if self._is_alive(self._root):
            self.running.emit(False)
        else:
            self._spawn()
        self._timer.start()

    def ensure(self) -> None:
        """Called when the backend is silent: start one unless ours lives, one answers, or a start is due anyway."""
        if self.owned or self._restart_at is not None or self._child is not None:
            return
        if not self._is_alive(self._root):
            self.died.emit(
                BackendUnreachableError(
                    "The backend that was found running is gone; a new one is started.",
                    still_works="The measurement itself goes on and its files are kept.",
                    try_this="Nothing needs to be done if the pictures come back.",
                )
            )
            self._spawn()

    def check(self) -> None:
        """Notice the death of our child, and start it again when its delay is over."""
        if self._child is not None and self._child.poll() is not None:
            self._bury(self._child)
        if self._restart_at is not None and self._clock() >= self._restart_at:
            self._restart_at = None
            if self._is_alive(self._root):
                self.running.emit(False)
            else:
                self._spawn()

    def use_settings(self, settings_file: Path) -> None:
        """Start the backend with this settings file from now on; the one that runs is left alone."""
        self._command = backend_command(self._root, settings_file)

    def leave_running(self) -> None:
        """Stop keeping watch; the backend goes on without this window."""
        self._timer.stop()
        self._restart_at = None

    def stop(self) -> None:
        """End the backend this window started, after it was asked to; insist if it does not go in time."""
        self.leave_running()
        child, self._child = self._child, None
        if child is None:
            return
        for insist in (None, child.terminate, child.kill):
            if insist is not None:
                insist()
            try:
                child.wait(_STOP_WITHIN_S)
                return
            except subprocess.TimeoutExpired:
                logger.warning("the backend (process %d) does not end", child.pid)

    def _spawn(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        # A file, not a pipe: the backend must be able to write after the window is gone.
        with self.log_file.open("wb") as log:
            try:
                self._child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                self._plan_restart()
                self.died.emit(_start_error(error))
                return
        self._started_at = self._clock()
        self.running.emit(True)

    def _bury(self, child: subprocess.Popen[bytes]) -> None:
        self._child = None
        if self._clock() - self._started_at > _STEADY_AFTER_S:
            self._delay_s = _FIRST_DELAY_S
        delay_s = self._plan_restart()
        if child.returncode == ANOTHER_BACKEND_RUNS:
            # Two windows started at once, or the other one was too busy to answer: nothing is wrong.
            self.running.emit(False)
            return
        words = tail_of(self.log_file)
        reason = words.splitlines()[-1] if words else f"exit code {child.returncode}"
        if child.returncode < 0:
            reason = f"it was killed by signal {-child.returncode}"
        self.died.emit(
            BackendUnreachableError(
                f"The backend ended by itself: {reason}" + (f"\n\n{words}" if words else ""),
                still_works="The measurement itself goes on and its files are kept.",
                try_this=f"It is started again in {delay_s:g} s. If this repeats, look at {self.log_file}.",
            )
        )

    def _plan_restart(self) -> float:
        delay_s = self._delay_s
        self._restart_at = self._clock() + delay_s
        self._delay_s = min(_LONGEST_DELAY_S, 2 * self._delay_s)
        return delay_s


def backend_command(root: Path, settings_file: Path | None) -> list[str]:
    """The command that starts the same program without a window."""
    command = [sys.executable, "-m", "mento_gui", "--backend-only", "--root", os.fspath(root)]
    return command if settings_file is None else [*command, "--settings", os.fspath(settings_file)]


def log_file_of(root: Path) -> Path:
    """Where the error output of the backend of ``root`` goes; one file per root, for this user."""
    name = hashlib.sha256(os.path.abspath(root).encode()).hexdigest()[:16]
    return platformdirs.user_log_path("mento-gui") / f"backend-{name}.log"


def tail_of(file: Path) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        with file.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _start_error(error: OSError) -> BackendUnreachableError:
    return BackendUnreachableError(
        f"The backend cannot be started: {error.strerror or error}.",
        still_works="The measurement itself goes on.",
        try_this="Check the installation with: mento-gui --backend-only --help",
    )
