"""A detector under the control of a test: files of a series written before are put in place one by one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_END_MARK = "! Acquisition ended"


class RecordedSeries:
    """One simulated series on disk. ``detector_folder`` holds the master, the batch description and the data files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        (self.master,) = folder.glob("*/*_master.h5")
        self.detector_folder = self.master.parent
        self.data_files = sorted(self.detector_folder.glob("*_data_*.h5"))


class RecordedDetector:
    """Puts one series into a raw folder; every file appears whole, by rename, as the real writer does it."""

    def __init__(self, raw: Path, series: RecordedSeries) -> None:
        self.series = series
        self.folder = raw / series.name
        self.detector_folder = self.folder / series.detector_folder.name
        self._written = 0

    def begin(self) -> None:
        """Run file without its end mark, batch description and master."""
        self.detector_folder.mkdir(parents=True, exist_ok=True)
        self._write_run_file(ended=False)
        for file in self.series.detector_folder.glob("*.batchinfo"):
            self._put(file)
        self._put(self.series.master)

    def write(self, files: int) -> Path:
        """The next data files; returns the last one."""
        for file in self.series.data_files[self._written : self._written + files]:
            self._put(file)
        self._written += files
        return self.path_of(self.series.data_files[self._written - 1])

    def finish(self) -> None:
        """All further data files and the end mark."""
        left = len(self.series.data_files) - self._written
        if left > 0:
            self.write(left)
        self._write_run_file(ended=True)

    def path_of(self, file: Path) -> Path:
        """Where ``file`` of the recorded series stands or will stand."""
        return self.detector_folder / file.name

    def replace(self, file: Path, content: bytes) -> None:
        """Write ``content`` in place of ``file`` of the recorded series."""
        target = self.path_of(file)
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(content)
        os.replace(part, target)

    def _put(self, file: Path) -> None:
        target = self.path_of(file)
        if target.exists():
            return
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(file, part)
        os.replace(part, target)

    def _write_run_file(self, *, ended: bool) -> None:
        lines = (self.series.folder / f"{self.series.name}.fio").read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if ended or not line.startswith(_END_MARK))
        (self.folder / f"{self.series.name}.fio").write_text(text)
