"""What other settings would have said about stored series: the verdicts of both, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.acquisition.recorded_series import RecordedSeries
from backend.errors import SeriesError
from backend.false_alarm_rate import UndamagedSeries, undamaged_like
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted, SourceNotice
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.snapshot import Verdict, VerdictState


@dataclass(frozen=True, slots=True)
class JudgedSeries:
    """How one series was judged.

    Attributes
    ----------
    series : str
    folder : Path
        Where it is stored.
    frames : int
        Frames that were used.
    frame_time_s : float or None
        ``None`` where no file states it.
    state : VerdictState
        The last word, and ``why``.
    watch_frame, damaging_frame : int or None
        Frame of the first verdict WATCH or worse, and of the first DAMAGING, if there was one.
    """

    series: str
    folder: Path
    frames: int
    frame_time_s: float | None
    state: VerdictState
    why: str
    watch_frame: int | None
    damaging_frame: int | None


@dataclass(frozen=True, slots=True)
class Shift:
    """Frame of the first verdict of a kind with both settings; ``None`` where it never came.

    ``frames`` and ``seconds``: how much later it comes with the changed settings, ``None`` where that cannot be said.
    """

    before_frame: int | None
    after_frame: int | None
    frames: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class SeriesComparison:
    """One series judged with the present settings (``before``) and with the changed ones (``after``)."""

    before: JudgedSeries
    after: JudgedSeries

    @property
    def watch(self) -> Shift:
        """When it was first called WATCH or DAMAGING."""
        return self._shift(self.before.watch_frame, self.after.watch_frame)

    @property
    def damaging(self) -> Shift:
        """When it was first called DAMAGING."""
        return self._shift(self.before.damaging_frame, self.after.damaging_frame)

    @property
    def alarm_gained(self) -> bool:
        """Called DAMAGING with the changed settings alone."""
        return self.before.damaging_frame is None and self.after.damaging_frame is not None

    @property
    def alarm_lost(self) -> bool:
        """Called DAMAGING with the present settings alone."""
        return self.before.damaging_frame is not None and self.after.damaging_frame is None

    def _shift(self, before: int | None, after: int | None) -> Shift:
        frames = None if before is None or after is None else after - before
        frame_time_s = self.after.frame_time_s
        seconds = None if frames is None or frame_time_s is None else frames * frame_time_s
        return Shift(before, after, frames, seconds)


@dataclass(frozen=True, slots=True)
class TuningSum:
    """All series together.

    Attributes
    ----------
    series, verdicts_changed, alarms_gained, alarms_lost : int
        Verdicts are the last words; an alarm is a verdict DAMAGING at any frame.
    alarms_earlier, alarms_later : int
        Of the series with an alarm by both settings.
    """

    series: int
    verdicts_changed: int
    alarms_gained: int
    alarms_lost: int
    alarms_earlier: int
    alarms_later: int


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """How far the replay is: what is done, and the share of it from 0 to 1."""

    doing: str
    share: float


def tuning_sum(comparisons: Iterable[SeriesComparison]) -> TuningSum:
    """Count what changes."""
    compared = list(comparisons)
    delays = [comparison.damaging.frames or 0 for comparison in compared]
    return TuningSum(
        series=len(compared),
        verdicts_changed=sum(one.before.state != one.after.state for one in compared),
        alarms_gained=sum(one.alarm_gained for one in compared),
        alarms_lost=sum(one.alarm_lost for one in compared),
        alarms_earlier=sum(delay < 0 for delay in delays),
        alarms_later=sum(delay > 0 for delay in delays),
    )


@dataclass(frozen=True, slots=True)
class TunedSeries:
    """A comparison, and what the same series would be without damage.

    ``undamaged`` is ``None`` when it was not asked for, or for the reason in ``not_simulated``.
    """

    comparison: SeriesComparison
    undamaged: UndamagedSeries | None
    not_simulated: str


def tune(
    paths: list[Path],
    before: Settings,
    after: Settings,
    notice: Callable[[SourceNotice], None],
    *,
    with_undamaged: bool = False,
    most_pixels_per_ring: int | None = None,
    progress: Callable[[TuningProgress], None] = lambda _: None,
) -> Iterator[TunedSeries]:
    """Replay all series in ``paths`` with both settings; series that cannot be read with both are left out.

    All are replayed with ``before`` at first, then one by one with ``after``.

    Parameters
    ----------
    paths : list of Path
        Master files, series folders, or folders with many series.
    notice : callable
        Is told what is odd with the files, once for each of both.
    with_undamaged : bool
        True to find out from g2 what each series would be without damage.
    most_pixels_per_ring : int or None
        As for :func:`undamaged_like`.
    progress : callable
        Is told after each batch of frames how far it is.

    Raises
    ------
    SeriesError
        There is no series in ``paths``.
    """
    same = before == after
    earlier: dict[tuple[Path, str], JudgedSeries] = {}
    if not same:
        for run, said in _runs(paths, before, notice, _named(progress, "with the present settings")):
            earlier[_identity(run)] = _judged(run, said)
    which = "" if same else "with the changed settings"
    for run, said in _runs(paths, after, notice, _named(progress, which), keep_frames=with_undamaged):
        now = _judged(run, said)
        then = now if same else earlier.get(_identity(run))
        if then is None:
            continue
        undamaged, reason = None, ""
        if with_undamaged:
            try:
                undamaged = undamaged_like(run, most_pixels_per_ring)
            except SeriesError as error:
                reason = str(error)
        yield TunedSeries(SeriesComparison(then, now), undamaged, reason)


def _named(progress: Callable[[TuningProgress], None], which: str) -> Callable[[SeriesRun, int, int], None]:
    """Tells how far a replay is: the series on the way, those that were read before it, and all of them."""

    def tell(run: SeriesRun, read: int, series: int) -> None:
        expected = run.info.expected_frames
        of_this = min(run.analysis.frames / expected, 1.0) if expected else 0.0
        doing = f"Replaying {run.info.name} {which}".rstrip()
        progress(TuningProgress(f"{doing}, {read + 1} of {series}", (read + of_this) / series))

    return tell


def _runs(
    paths: list[Path],
    settings: Settings,
    notice: Callable[[SourceNotice], None],
    tell: Callable[[SeriesRun, int, int], None],
    *,
    keep_frames: bool = False,
) -> Iterator[tuple[SeriesRun, list[Verdict]]]:
    """Every series that can be read, at its end, with its changes of verdict."""
    source = RecordedSeries(paths, settings)
    run: SeriesRun | None = None
    said: list[Verdict] = []
    read = 0
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SourceNotice):
                notice(event)
            elif isinstance(event, SeriesStarted):
                run, said = SeriesRun(event.info, settings, keep_frames), []
                tell(run, read, source.series)
            elif run is not None and isinstance(event, FrameBatch):
                said += run.add(event)
                tell(run, read, source.series)
            elif run is not None and isinstance(event, SeriesEnded):
                said += run.end(event)
                read += 1
                yield run, said


def _identity(run: SeriesRun) -> tuple[Path, str]:
    return run.info.folder, run.info.detector.name


def _judged(run: SeriesRun, said: list[Verdict]) -> JudgedSeries:
    def first_frame(*states: VerdictState) -> int | None:
        return next((verdict.frame for verdict in said if verdict.state in states), None)

    return JudgedSeries(
        series=run.info.name,
        folder=run.info.folder,
        frames=run.analysis.frames,
        frame_time_s=run.info.frame_time_s,
        state=run.verdict.state,
        why=run.verdict.why,
        watch_frame=first_frame(VerdictState.WATCH, VerdictState.DAMAGING),
        damaging_frame=first_frame(VerdictState.DAMAGING),
    )
