"""One series as it is judged: analysis, verdict in words, its line in the run table."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backend.batch_pieces import pieces_within
from backend.damage.assessment import Assessment
from backend.damage.dose import DoseScale
from backend.damage.verdict import verdict_of
from backend.frame_times import with_given_times
from backend.frames import FrameBatch, SeriesDescribed, SeriesEnded, SeriesInfo
from backend.photon_words import WORD_FRAMES
from backend.series_analysis import SeriesAnalysis
from backend.settings import Settings
from backend.snapshot import RunRow, Verdict, VerdictState

_SATURATED_FRACTION = 1e-3
_LEAST_CONTRAST = 0.002
_SIGNIFICANT = 3.0
_FAST_FRAME_S = 0.005
"""Then the first word is there after a third of a second: less than working it off piece by piece would take."""
_SLOW_FRAME_S = 0.05


class SeriesRun:
    """Follows one series from its start to its end; depends on the data alone, never on a clock.

    Attributes
    ----------
    analysis : SeriesAnalysis
        The numbers.
    verdict : Verdict
        The newest word.
    status : str
        "running", "complete" or "incomplete".
    frames_per_file : int
        Most frames that came from one file so far: the next ones are there when the next file is.
    """

    def __init__(self, info: SeriesInfo, settings: Settings, keep_frames: bool = False) -> None:
        self.info = info = _with_given_transmission(with_given_times(info, settings), settings)
        self.analysis = SeriesAnalysis(info, settings, keep_frames)
        self.status = "running"
        self.end_reason = ""
        self.frames_per_file = 0
        self._file = ""
        self._frames_of_file = 0
        # What was said last and what was said of damage: their words are made anew when the dose is known better.
        self._newest: Assessment | None = None
        self._damage: Assessment | None = None
        self.verdict = Verdict(
            state=VerdictState.TOO_EARLY,
            why="Too early to tell: the first frames are coming.",
            do="Wait: the start of the series sets the comparison.",
            series=info.name,
        )

    def add(self, batch: FrameBatch) -> list[Verdict]:
        """Add frames; returns the verdicts that differ in state from the one before."""
        self._frames_of_file = len(batch.chunks) + (self._frames_of_file if batch.source == self._file else 0)
        self._file = batch.source
        self.frames_per_file = max(self.frames_per_file, self._frames_of_file)
        changes: list[Verdict] = []
        for piece in pieces_within(batch, WORD_FRAMES):
            if self._judged_by_window(piece):
                for window in pieces_within(piece, self.analysis.frames_per_window):
                    changes += self._judge(self.analysis.add(window))
            else:
                changes += self._judge(self.analysis.add(piece))
        return changes

    def _judged_by_window(self, piece: FrameBatch) -> bool:
        """Whether frames are worked off window by window, so that the first word comes early.

        Fast series are judged word by word of 64 frames, those that are not very fast after their first word. Never by
        batches: the same frames always give the same verdicts.
        """
        frame_time_s = self.info.frame_time_s or 1.0
        first = int(piece.frame_numbers[0]) < WORD_FRAMES
        return frame_time_s >= (_FAST_FRAME_S if first else _SLOW_FRAME_S)

    def describe(self, event: SeriesDescribed) -> None:
        """Side files came after the start: all doses, and position and rate of the series, go by them from now on."""
        info = replace(
            self.info,
            transmission=event.transmission,
            side_numbers=event.side_numbers,
            monitor=event.monitor,
        )
        self.info = _with_given_transmission(info, self.analysis.settings)
        self.analysis.describe(self.info)
        self._newest, self._damage = self._told_anew(self._newest), self._told_anew(self._damage)
        if self._newest is not None:
            self.verdict = self._words(self._newest)

    def _told_anew(self, assessment: Assessment | None) -> Assessment | None:
        rings = self.analysis.rings
        return assessment if assessment is None or rings is None else rings.damage.taken.told(assessment)

    def end(self, event: SeriesEnded) -> list[Verdict]:
        """The series is over; returns as :meth:`add`."""
        changes = self._judge(self.analysis.finish(), ended=True)
        if self._damage is not None and self.verdict.state is not VerdictState.DAMAGING:
            # The shutter closed before the series ended; that does not undo the damage.
            changes += self._say(self._words(self._damage), self._damage)
        self.status = "complete" if event.complete else "incomplete"
        self.end_reason = event.reason
        if self.verdict.state is VerdictState.TOO_EARLY and self.analysis.frames < self._frames_needed():
            self.verdict = self._too_short()
        return changes

    def break_off(self) -> None:
        """Another series takes its place, or the program ends: no word about the end of this one will come."""
        self.analysis.finish()
        self.status = "incomplete"
        self.end_reason = "Not followed to its end."

    def _judge(self, assessments: list[Assessment], *, ended: bool = False) -> list[Verdict]:
        plan = self.analysis.plan
        hopeless = plan is not None and (plan.no_rings is not None or self.analysis.frames == 0)
        if not (assessments or ended or hopeless):
            return []
        verdicts: list[tuple[Verdict, Assessment | None]] = [(self._words(one), one) for one in assessments]
        bad = self._bad_data()
        if bad is not None:
            verdicts = [said for said in verdicts if said[0].state is VerdictState.DAMAGING]
            if self.verdict.state is not VerdictState.DAMAGING:
                verdicts = verdicts or [(bad, None)]
        return [change for verdict, of in verdicts for change in self._say(verdict, of)]

    def _words(self, assessment: Assessment) -> Verdict:
        dose = DoseScale() if self.analysis.rings is None else self.analysis.rings.dose
        return verdict_of(assessment, self.info.name, self.analysis.frames_per_window, dose)

    def _say(self, verdict: Verdict, of: Assessment | None) -> list[Verdict]:
        changed = verdict.state != self.verdict.state
        self.verdict, self._newest = verdict, of
        if verdict.state is VerdictState.DAMAGING:
            self._damage = of
        return [verdict] if changed else []

    def _bad_data(self) -> Verdict | None:
        """Reasons why the whole measurement is useless, worst first."""
        plan = self.analysis.plan
        aside = self.analysis.set_aside
        if aside.number and self.analysis.frames == 0:
            return self._bad(
                f"No frame can be used, {aside.number} are set aside: {aside.last_reason}.",
                "Check the detector and the file writer.",
            )
        if plan is None:
            return None
        if plan.no_rings is not None:
            return self._bad(plan.no_rings.what, plan.no_rings.try_this)
        if plan.partition is None or self.analysis.rings is None:
            return None
        cells = plan.partition.cell_of_pixel[self.analysis.saturated_now]
        fraction = int(np.count_nonzero(cells >= 0)) / max(int(plan.partition.ring_pixels.sum()), 1)
        if fraction > _SATURATED_FRACTION:
            return self._bad(
                f"Saturated: {100 * fraction:.2g} % of the pixels in q rings, limit {100 * _SATURATED_FRACTION:g} %.",
                "Put in an absorber, or mask the bright part.",
            )
        return self._no_contrast()

    def _no_contrast(self) -> Verdict | None:
        """No speckle: g2 carries nothing. Judged once the reference part is complete."""
        rings = self.analysis.rings
        if rings is None or len(rings.damage.assessments) < rings.damage.reference_windows:
            return None
        value, error = rings.contrast()
        usable = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if not usable.any():
            return None
        weight = 1 / error[usable] ** 2
        contrast = float((value[usable] * weight).sum() / weight.sum())
        spread = 1 / math.sqrt(float(weight.sum()))
        if contrast + _SIGNIFICANT * spread > _LEAST_CONTRAST:
            return None
        return self._bad(
            f"No speckle contrast: {100 * contrast:.2f} ± {100 * spread:.2f} %, at least {100 * _LEAST_CONTRAST:g} % "
            "is needed.",
            "Check the coherence slits, the distance and the exposure time.",
        )

    def _bad(self, why: str, do: str) -> Verdict:
        return Verdict(
            state=VerdictState.BAD_DATA, why=why, do=do, series=self.info.name, frame=self.analysis.frames - 1
        )

    def _frames_needed(self) -> int:
        """Frames before the first word on damage."""
        damage = None if self.analysis.rings is None else self.analysis.rings.damage
        settings = self.analysis.settings.damage
        windows = settings.min_reference_windows if damage is None else damage.reference_windows
        return windows * self.analysis.frames_per_window

    def _too_short(self) -> Verdict:
        """The last word on a series that ended before anything could be said."""
        return Verdict(
            state=VerdictState.TOO_EARLY,
            why=f"Too short to tell: {self.analysis.frames} frames, {self._frames_needed()} are needed "
            "before a change can be seen.",
            do="Measure more frames, or make the windows shorter in the settings.",
            series=self.info.name,
            frame=self.analysis.frames - 1,
        )

    def row(self) -> RunRow:
        """The line of the run table."""
        started = self.info.started_at
        return RunRow(
            series=self.info.name,
            sample=self.info.sample,
            detector=self.info.detector.name,
            started_at=None if started is None else started.timestamp(),
            frames=self.analysis.frames,
            expected_frames=self.info.expected_frames,
            status=self.status,
            verdict=self.verdict.state,
            why=self.verdict.why,
            onset_frame=self.verdict.onset_frame,
        )


def _with_given_transmission(info: SeriesInfo, settings: Settings) -> SeriesInfo:
    given = settings.dose.transmission
    return info if given is None else replace(info, transmission=given)
