"""Composes the snapshot; parts that cost time are made anew only when their data changed and they are due."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from backend.across_parts import spot_part, with_motion
from backend.beamtime.metadata import Beamtime
from backend.correlation.intensity import MeanImage
from backend.first_frames import SeriesPlan
from backend.frames import SeriesInfo
from backend.preview_image import PreviewImage
from backend.program_version import PROGRAM_VERSION
from backend.series_analysis import SeriesAnalysis
from backend.series_record import SeriesRecord
from backend.series_run import SeriesRun
from backend.settings_in_use import SettingsInUse
from backend.snapshot import (
    BackendPart,
    ConfirmedG2Part,
    ImagePart,
    JobRow,
    Message,
    RecipeRow,
    RunRow,
    SeriesPart,
    Snapshot,
    UntrustedHost,
    Verdict,
    VerdictState,
)
from backend.snapshot_across import SamplePart
from backend.snapshot_parts import g2_part, intensity_part, pixels_part, trend_part, two_time_part

_PARTS_EVERY_S = 0.5
_PARTS_EVERY_S_IN_BACKLOG = 2.0
_BACKLOG_FRAMES = 200
_SILENT_AFTER_S = 5.0
_SILENT_AFTER_INTERVALS = 3.0
_SILENT_AFTER_FILES = 2.0
_BURST_SHARE = 0.1
_ROWS = 200
_OLD_AFTER_S = 60.0
_PARTS = ("image", "g2", "intensity", "trend", "two_time")


class SnapshotComposer:
    """Holds what the snapshots of one backend have in common."""

    def __init__(self, root: Path, settings: SettingsInUse) -> None:
        self._root = root
        self._settings = settings
        self._started_at = time.time()
        self._sequence = 0
        self._selected_ring: int | None = None
        self._measured_until: float | None = None
        self._rows: dict[tuple[str, str], RunRow] = {}
        self._parts: dict[str, Any] = {}
        self._missing: dict[str, str] = {}
        self._preview: PreviewImage | None = None
        self._earlier: tuple[SeriesRecord, ...] | None = None
        # Frames of the parts, and of the fits in them.
        self._parts_of: tuple[int, int] | None = None
        self._parts_made_at = 0.0
        self._series_started_at = 0.0
        self._last_frame_at: float | None = None
        self._frame_interval_s = 0.0

    def new_series(self, info: SeriesInfo, now: float) -> None:
        """A series began to arrive at ``now`` (seconds since 1970); it may have been measured long before."""
        self._measured_until = None
        if info.started_at is not None and info.expected_frames and info.frame_time_s:
            planned_end = info.started_at.timestamp() + info.expected_frames * info.frame_time_s
            if now - planned_end > _OLD_AFTER_S:
                self._measured_until = planned_end
        self._series_started_at = now
        self._last_frame_at = None
        self._frame_interval_s = 0.0
        self._parts = {}
        self._preview = None
        self.series_changed()

    def frames_arrived(self, now: float) -> None:
        """Frames of the shown series were worked off."""
        if self._last_frame_at is not None:
            gap_s = now - self._last_frame_at
            # The longest recent gap, slowly forgotten. A file comes as a burst of batches: the moments between those
            # say nothing about the time to the next file.
            if gap_s > _BURST_SHARE * self._frame_interval_s:
                self._frame_interval_s = max(0.9 * self._frame_interval_s, gap_s)
        self._last_frame_at = now

    def series_changed(self) -> None:
        """Make all parts anew with the next snapshot."""
        self._parts_of = None
        self._parts_made_at = 0.0

    def select_ring(self, ring: int) -> None:
        """Show the two-time map of this ring."""
        self._selected_ring = max(ring, 0)
        self.series_changed()

    def _ring(self, run: SeriesRun) -> int:
        """The ring a person chose, else the middle one: the innermost is often too slow to say much."""
        plan = run.analysis.plan
        rings = 1 if plan is None or plan.partition is None else plan.partition.rings
        return rings // 2 if self._selected_ring is None else min(self._selected_ring, rings - 1)

    def remember_row(self, row: RunRow) -> None:
        """Add or renew a line of the run table; it moves to the top when it is new."""
        known = (row.series, row.detector)
        if known not in self._rows:
            self._rows = {known: row, **self._rows}
            while len(self._rows) > _ROWS:
                self._rows.popitem()
        else:
            self._rows[known] = row

    def compose(
        self,
        run: SeriesRun | None,
        *,
        phase: str,
        waiting_for: str = "",
        beamtime: Beamtime | None = None,
        jobs: tuple[JobRow, ...] = (),
        messages: tuple[Message, ...] = (),
        confirmed: ConfirmedG2Part | None = None,
        backlog_frames: int = 0,
        earlier: tuple[SeriesRecord, ...] | None = None,
        sample: SamplePart | None = None,
        untrusted_host: UntrustedHost | None = None,
        recipes: tuple[RecipeRow, ...] = (),
    ) -> Snapshot:
        """The snapshot of this moment; ``earlier`` and ``sample`` as in :class:`backend.series_book.SeriesBook`."""
        self._sequence += 1
        now = time.time()
        self._earlier = earlier
        self._renew_parts(run, backlog_frames)
        if run is not None:
            self.remember_row(run.row())
        return Snapshot(
            sequence=self._sequence,
            produced_at=now,
            backend=self._backend(run, phase, waiting_for, beamtime, backlog_frames),
            verdict=with_motion(self._verdict(run, phase, waiting_for, now), sample),
            series=None if run is None else self._series(run),
            confirmed_g2=confirmed,
            sample=None if run is None else sample,
            selected_ring=0 if run is None else self._ring(run),
            runs=tuple(self._rows.values()),
            jobs=jobs,
            recipes=recipes,
            messages=messages,
            untrusted_host=untrusted_host,
            missing=dict(self._missing),
            **self._parts,
        )

    def again(self, snapshot: Snapshot, jobs: tuple[JobRow, ...]) -> Snapshot:
        """The same snapshot with a new time and these jobs: the backend lives, but has no newer numbers yet."""
        self._sequence += 1
        return msgspec.structs.replace(snapshot, sequence=self._sequence, produced_at=time.time(), jobs=jobs)

    def _backend(
        self,
        run: SeriesRun | None,
        phase: str,
        waiting_for: str,
        beamtime: Beamtime | None,
        backlog_frames: int,
    ) -> BackendPart:
        return BackendPart(
            version=PROGRAM_VERSION,
            host=socket.gethostname(),
            pid=os.getpid(),
            root=str(self._root),
            beamtime_id="" if beamtime is None else beamtime.beamtime_id,
            beamtime_title="" if beamtime is None else beamtime.title or "",
            watching=str(self._root if beamtime is None else beamtime.raw),
            waiting_for=waiting_for,
            phase=phase,
            started_at=self._started_at,
            backlog_frames=backlog_frames,
            settings_file="" if self._settings.file is None else str(self._settings.file),
            settings_sha256=(self._settings.settings if run is None else run.analysis.settings).sha256,
        )

    def _series(self, run: SeriesRun) -> SeriesPart:
        analysis = run.analysis
        told = analysis.rings is not None and bool(analysis.rings.damage.assessments)
        taken = analysis.rings.damage.taken if analysis.rings is not None and told else None
        pixel_frames = 0 if analysis.sums is None else analysis.sums.good_pixels * analysis.frames
        return SeriesPart(
            name=run.info.name,
            sample=run.info.sample,
            detector=run.info.detector.name,
            status="being read again" if self._measured_until and run.status == "running" else run.status,
            frames=analysis.frames + analysis.frames_waiting,
            expected_frames=run.info.expected_frames,
            frame_time_s=run.info.frame_time_s,
            frames_set_aside=analysis.set_aside.number,
            frames_missing=analysis.frames_missing,
            started_at=None if run.info.started_at is None else run.info.started_at.timestamp(),
            last_frame_at=self._measured_until or self._last_frame_at,
            frames_per_s=self._frames_per_s(analysis.frames),
            photons_per_pixel=analysis.photons / pixel_frames if pixel_frames else None,
            beam=None if taken is None else taken.beam,
            beam_by_monitor=taken is not None and taken.by_monitor,
            folder=str(run.info.folder),
        )

    def _frames_per_s(self, frames: int) -> float | None:
        """Frames worked off per second since the series began to arrive."""
        seconds = (self._last_frame_at or 0.0) - self._series_started_at
        return frames / seconds if frames and seconds > 0 else None

    def _verdict(self, run: SeriesRun | None, phase: str, waiting_for: str, now: float) -> Verdict:
        if run is None:
            if phase == "preparing":
                why = "Preparing the kernels; the first start on a computer takes a minute or two."
                return Verdict(state=VerdictState.IDLE, why=why, do="Wait a moment.")
            return Verdict(state=VerdictState.IDLE, why=waiting_for, do="Start a series.")
        if run.status != "running":
            return run.verdict
        silent_s = now - (self._last_frame_at or self._series_started_at)
        if silent_s > self._longest_pause_s(run):
            expected = run.info.expected_frames
            planned = "" if expected is None else f" of {expected}"
            return Verdict(
                state=VerdictState.NO_DATA,
                why=f"No new frame for {silent_s:.0f} s; {run.analysis.frames}{planned} of {run.info.name} seen.",
                do="Check that the detector is running and its files arrive.",
                series=run.info.name,
            )
        return run.verdict

    def _longest_pause_s(self, run: SeriesRun) -> float:
        """How long nothing may come: a data file appears as a whole, after its last frame."""
        # Before the first file its length is unknown; it holds the whole series at most.
        frames = _SILENT_AFTER_FILES * run.frames_per_file or run.info.expected_frames or 0
        file_s = frames * (run.info.frame_time_s or 0.0) + run.info.longest_pause_s
        return max(_SILENT_AFTER_S, file_s, _SILENT_AFTER_INTERVALS * self._frame_interval_s)

    def _renew_parts(self, run: SeriesRun | None, backlog_frames: int) -> None:
        """Make the parts anew when frames or fits came, less often while frames wait: analysis goes first."""
        if run is None:
            reason = "No series yet."
            self._parts, self._missing = {}, dict.fromkeys(_PARTS, reason)
            return
        pause_s = _PARTS_EVERY_S_IN_BACKLOG if backlog_frames > _BACKLOG_FRAMES else _PARTS_EVERY_S
        now = time.monotonic()
        newest = (run.analysis.frames, run.analysis.fitted_frames)
        if newest == self._parts_of or now - self._parts_made_at < pause_s:
            return
        self._parts, self._missing = self._make_parts(run)
        g2 = self._parts.get("g2")
        self._parts_of = (run.analysis.frames, 0 if g2 is None else g2.fit_frames)
        self._parts_made_at = time.monotonic()

    def _image(self, analysis: SeriesAnalysis, plan: SeriesPlan, image: MeanImage) -> ImagePart:
        if self._preview is None:
            self._preview = PreviewImage(plan, self._settings.settings.publish.image_max_pixels)
        saturated = np.flatnonzero(analysis.saturated)
        return self._preview.part(image, saturated)

    def _make_parts(self, run: SeriesRun) -> tuple[dict[str, Any], dict[str, str]]:
        analysis = run.analysis
        result = analysis.g2()
        too_few = f"Waiting for the first frames of {run.info.name}."
        reason = too_few
        if analysis.plan is not None and analysis.plan.no_rings is not None:
            reason = analysis.plan.no_rings.what
        makers: dict[str, Callable[[], Any]] = {"spot": lambda: spot_part(run, self._earlier)}
        if analysis.plan is not None and analysis.sums is not None:
            makers["image"] = partial(self._image, analysis, analysis.plan, analysis.sums.image)
        if result is not None:
            makers |= {
                "g2": lambda: g2_part(analysis, result),
                "intensity": lambda: intensity_part(analysis, result),
                "trend": lambda: trend_part(analysis),
                "two_time": lambda: two_time_part(analysis, self._ring(run), result),
                "pixels": lambda: pixels_part(analysis),
            }
        parts = {name: make() for name, make in makers.items()}
        missing = {name: reason for name in _PARTS if parts.get(name) is None}
        if "trend" in missing and result is not None:
            missing["trend"] = run.verdict.why
        return {name: part for name, part in parts.items() if part is not None}, missing
