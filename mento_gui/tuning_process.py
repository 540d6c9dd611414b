"""Runs ``mento-gui tune`` beside the window: the same numbers as on the command line, and the window stays free."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PyQt5.QtCore import QObject, QProcess, pyqtSignal

from backend.tuning_lines import read_tuning_line

# The live analysis of the same computer goes first.
_NICE = ("nice", "-n", "19")
_STOP_WITHIN_MS = 2000


@dataclass(frozen=True, slots=True)
class TuningTask:
    """What ``mento-gui tune`` is told.

    Attributes
    ----------
    series : tuple of Path
    settings_file : Path or None
    changes : tuple of str
        KEY=VALUE each.
    undamaged, pixels_per_ring : int
        As ``--nulls`` and ``--pixels``; 0 pixels are all.
    """

    series: tuple[Path, ...]
    settings_file: Path | None
    changes: tuple[str, ...]
    undamaged: int
    pixels_per_ring: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """Behind ``mento-gui tune``."""
        parts = [part for folder in self.series for part in ("--on", str(folder))]
        if self.settings_file is not None:
            parts += ["--settings", str(self.settings_file)]
        parts += [part for change in self.changes for part in ("--set", change)]
        if self.undamaged:
            parts += ["--nulls", str(self.undamaged)]
        if self.undamaged and self.pixels_per_ring:
            parts += ["--pixels", str(self.pixels_per_ring)]
        return tuple(parts)

    @property
    def command_line(self) -> str:
        """What a person types for the same numbers."""
        return shlex.join(("mento-gui", "tune", *self.arguments))


class TuningProcess(QObject):
    """At most one run at a time.

    ``said`` carries one line of it (see :mod:`backend.tuning_lines`). ``ended`` carries the words on what was odd and,
    when it has failed, the reason in a sentence, else an empty text. A run that was cancelled says nothing more.
    """

    said = pyqtSignal(object)
    ended = pyqtSignal(str, str)

    def __init__(self, parent: QObject | None = None, *, program: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self._program = tuple(program or (*_NICE, sys.executable, "-m", "mento_gui", "tune"))
        self._process: QProcess | None = None
        self._rest = b""
        self._errors = b""

    @property
    def is_running(self) -> bool:
        """Whether a run is on its way."""
        return self._process is not None

    def start(self, task: TuningTask) -> None:
        """Begin; a run that is on its way is cancelled."""
        self.cancel()
        self._rest, self._errors = b"", b""
        process = self._process = QProcess(self)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._finish)
        process.errorOccurred.connect(self._fail)
        program, *first = self._program
        process.start(program, [*first, "--json", "--progress", *task.arguments])

    def cancel(self) -> None:
        """End the run at once; without one nothing happens."""
        process, self._process = self._process, None
        if process is None:
            return
        process.blockSignals(True)
        process.terminate()
        if not process.waitForFinished(_STOP_WITHIN_MS):
            process.kill()
            process.waitForFinished(_STOP_WITHIN_MS)
        process.deleteLater()

    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._rest = (self._rest + bytes(self._process.readAllStandardOutput())).split(b"\n")
        for line in lines:
            if line.strip():
                self._say(line)

    def _say(self, line: bytes) -> None:
        try:
            said = read_tuning_line(line)
        except msgspec.DecodeError as error:
            self._errors += f"A line of the trial cannot be read: {error}\n".encode()
            return
        self.said.emit(said)

    def _read_errors(self) -> None:
        if self._process is not None:
            self._errors += bytes(self._process.readAllStandardError())

    def _finish(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None:
            return
        self._read()
        self._read_errors()
        words = self._errors.decode("utf-8", errors="replace").strip()
        self._let_go()
        if status != QProcess.ExitStatus.NormalExit:
            self.ended.emit(words, "The trial was ended from outside.")
        elif code:
            reason = words.splitlines()[-1].removeprefix("Error: ") if words else f"exit code {code}"
            self.ended.emit(words, f"The trial has failed: {reason}")
        else:
            self.ended.emit(words, "")

    def _fail(self, error: QProcess.ProcessError) -> None:
        if self._process is not None and error == QProcess.ProcessError.FailedToStart:
            reason = self._process.errorString()
            self._let_go()
            self.ended.emit("", f"The trial cannot be started: {reason}.")

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
