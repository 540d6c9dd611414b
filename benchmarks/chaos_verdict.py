"""Holds what was shown against what happened: nothing lost, nothing twice, nothing wrong, everything explained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.dispatch.intake import take_in
from backend.dispatch.job import DONE_FILE, DoneRecord, JobRecord, JobState, read_record
from benchmarks.chaos_faults import Fault
from benchmarks.chaos_watch import Shown

GRACE_S = 30.0
"""Longest that a row may lag behind its job while a backend lives; asking a silent cluster takes so long."""
_FINAL = ("done", "failed", "cancelled")
_CAUSES = {
    "job's command killed": r"killed by SIGKILL",
    "job's wrapper killed": r"left no word of its own|left no result|vanished",
    "result truncated": r"has \d+ bytes, the job wrote|was changed after|not a sound HDF5|cannot be read",
}
_CAUSES_OF_ALL = {
    "result disk full": r"[Nn]o space|exit code 1|left no word of its own|disk is full",
    "slurmd killed": r"[Nn]ode|left no word of its own|left no result|killed by",
    # A job that was not saved is unknown to the next slurmctld, which has it stopped.
    "slurmctld killed": r"left no word of its own|left no result|its scheduler ended it",
    "slurmctld killed within 1 s of a submit": r"left no word of its own|left no result|its scheduler ended it",
}


@dataclass(frozen=True, slots=True)
class Diary:
    """What a job's command wrote down: when it began (more than one entry: it was started more than once) and ended."""

    begun_at: tuple[float, ...]
    ended_at: tuple[float, ...]


@dataclass
class Verdict:
    """What is wrong, sentence by sentence, and what there was.

    Attributes
    ----------
    lost, twice, wrong, unexplained : list of str
        Empty when all is well.
    counts : dict of str to int
        Wishes, attempts, results, attempts that failed by cause.
    """

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """True when nothing is wrong."""
        return not (self.lost or self.twice or self.wrong or self.unexplained)


def judge(
    wishes: Iterable[tuple[str, str]],
    records: Sequence[JobRecord],
    history: dict[str, list[Shown]],
    faults: Sequence[Fault],
    diaries: Path,
    silences: Sequence[tuple[float, float]],
) -> Verdict:
    """Judge a run that has come to rest; ``wishes`` are pairs of series and recipe, ``records`` all of the ledger."""
    verdict = Verdict()
    by_wish: dict[tuple[str, str], list[JobRecord]] = {}
    for record in records:
        by_wish.setdefault((record.intent.series, record.intent.recipe), []).append(record)
    for wish in wishes:
        verdict.counts["jobs wished for"] += 1
        _judge_wish(verdict, wish, by_wish.get(wish, []), diaries)
    for record in records:
        verdict.counts["attempts"] += 1
        job_id = record.intent.job_id
        mine = [fault for fault in faults if fault.job_id == job_id]
        diary = read_diary(diaries / job_id)
        _judge_shown(verdict, record, history.get(job_id, []), mine)
        _judge_lag(verdict, job_id, history.get(job_id, []), diary, silences)
        _judge_explanation(verdict, record, faults, mine)
    return verdict


def read_diary(file: Path) -> Diary:
    """Diary of a job; an empty one when its command never began."""
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    entries = [line.split() for line in lines]

    def times(word: str) -> tuple[float, ...]:
        return tuple(float(at) for said, _, at in entries if said == word)

    return Diary(times("begin"), times("end"))


def _judge_wish(
    verdict: Verdict, wish: tuple[str, str], attempts: Sequence[JobRecord], diaries: Path
) -> None:
    name = " ".join(wish)
    if not attempts:
        verdict.lost.append(f"{name}: there is no job for it")
        return
    if any(
        not (record.status.state.is_final or record.status.state is JobState.PARKED) for record in attempts
    ):
        verdict.lost.append(f"{name}: it never ended ({attempts[0].status})")
    good = [record for record in attempts if take_in(record.intent.folder).is_good]
    verdict.counts["results"] += bool(good)
    if len(good) > 1:
        verdict.twice.append(f"{name}: {len(good)} good results")
    periods = []
    for record in attempts:
        diary = read_diary(diaries / record.intent.job_id)
        if len(diary.begun_at) > 1:
            verdict.twice.append(f"{record.intent.job_id}: started {len(diary.begun_at)} times")
        periods += [(begun, ended) for begun, ended in zip(diary.begun_at, diary.ended_at, strict=False)]
    periods.sort()
    if any(later[0] < earlier[1] for earlier, later in zip(periods, periods[1:], strict=False)):
        verdict.twice.append(f"{name}: two attempts worked at the same time")
    if not good and all(record.status.state is JobState.FAILED for record in attempts):
        verdict.counts["given up after all retries"] += 1


def _judge_shown(
    verdict: Verdict, record: JobRecord, shown: Sequence[Shown], faults: Sequence[Fault]
) -> None:
    job_id = record.intent.job_id
    result = take_in(record.intent.folder)
    truncated = [fault for fault in faults if fault.what == "result truncated"]
    for before, now in zip(shown, shown[1:], strict=False):
        if before.row.state in _FINAL and now.row.state != before.row.state:
            verdict.wrong.append(f"{job_id}: {before.row.state} was shown, then {now.row.state}")
    if not shown:
        verdict.wrong.append(f"{job_id}: never shown")
        return
    last = shown[-1].row
    if last.state != str(record.status.state):
        verdict.wrong.append(f"{job_id}: shown as {last.state} at the end, but it is {record.status.state}")
    if last.state == "done" and not result.is_good:
        seen_done = next(entry.at for entry in shown if entry.row.state == "done")
        # What is broken after it was checked is found when it is opened.
        if not any(fault.began_at > seen_done - GRACE_S for fault in truncated):
            verdict.wrong.append(f"{job_id}: shown as done, but {result.problems}")
        verdict.counts["results truncated after they were checked"] += 1
    if last.state in ("failed", "cancelled", "parked") and result.is_good:
        verdict.wrong.append(f"{job_id}: shown as {last.state}, but there is a good result")


def _judge_lag(
    verdict: Verdict,
    job_id: str,
    shown: Sequence[Shown],
    diary: Diary,
    silences: Sequence[tuple[float, float]],
) -> None:
    """Rows that said something else than what was so for longer than it takes to ask."""
    for entry, following in zip(shown, [*shown[1:], None], strict=True):
        until = entry.at if following is None else following.at
        for state, since, what in (("queued", diary.begun_at, "began"), ("running", diary.ended_at, "ended")):
            if entry.row.state != state or not since:
                continue
            lag_s = until - since[0] - _silent_s(silences, since[0], until)
            if lag_s > GRACE_S:
                verdict.wrong.append(
                    f"{job_id}: {state} ({entry.row.reason}) was shown {lag_s:.0f} s after it {what}"
                )


def _silent_s(silences: Sequence[tuple[float, float]], since: float, until: float) -> float:
    return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in silences)


def _judge_explanation(
    verdict: Verdict, record: JobRecord, faults: Sequence[Fault], mine: Sequence[Fault]
) -> None:
    status = record.status
    if status.state is JobState.DONE:
        return
    verdict.counts[f"attempts {status.state}"] += 1
    verdict.reasons[_without_names(status.reason)] += 1
    job_id = record.intent.job_id
    if not status.reason or not (status.try_this or "tried again" in status.reason):
        verdict.unexplained.append(
            f"{job_id}: {status.state} without reason or next step ({status.reason!r})"
        )
        return
    expected = [_CAUSES[fault.what] for fault in mine if fault.what in _CAUSES]
    lived = (record.intent.submitted_at, (status.ended_at or record.intent.submitted_at) + GRACE_S)
    expected += [
        _CAUSES_OF_ALL[fault.what]
        for fault in faults
        if fault.what in _CAUSES_OF_ALL and fault.began_at < lived[1] and fault.ended_at > lived[0]
    ]
    if not any(re.search(pattern, status.reason) for pattern in expected):
        verdict.unexplained.append(f"{job_id}: {status.reason!r} fits no fault that was made ({expected})")


def _without_names(reason: str) -> str:
    return re.sub(r"\(\S+@\S+, \d+\)|/\S+/|\d+", "…", reason)


def word_of(record: JobRecord) -> DoneRecord | None:
    """How the job says it ended."""
    return read_record(record.intent.folder / DONE_FILE, DoneRecord)
