"""Takes in the result of a finished job and holds it against the live numbers of the series that is shown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.correlation_result import CorrelationResult
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.intake import CheckedResult
from backend.errors import DispatchError, FeedbackError
from backend.frames import SourceNotice
from backend.results.agreement import compare_g2
from backend.results.result_file import read_result
from backend.series_run import SeriesRun
from backend.snapshot import ConfirmedG2Part, JobRow, UntrustedHost


@dataclass(frozen=True, slots=True)
class JobsNow:
    """The job table, newest first, the jobs that have just ended well with their checked results, and what is wrong."""

    rows: tuple[JobRow, ...]
    finished: tuple[tuple[JobRow, CheckedResult], ...]
    notices: tuple[SourceNotice, ...]
    untrusted_host: UntrustedHost | None


def look_after_jobs(dispatcher: Dispatcher, wanted: str = "") -> JobsNow:
    """Follow all jobs one step; a finished one has its result checked against what it said it wrote.

    So has the newest one that finished earlier and left a result file of the series ``wanted``.
    """
    changed = dispatcher.poll(time.time())
    rows = [row for row in changed if row.state == "done"]
    rows += [row for row in _finished_before(dispatcher, wanted) if row not in rows]
    finished = tuple((row, dispatcher.result_of(row.job_id)) for row in rows)
    outages = dispatcher.outages
    notices = outages.notices + dispatcher.clocks.notices
    return JobsNow(dispatcher.job_rows(), finished, notices, outages.untrusted_host)


def _finished_before(dispatcher: Dispatcher, series: str) -> list[JobRow]:
    good = (row for row in dispatcher.job_rows() if row.state == "done" and row.series == series)
    return [row for row in good if any(output.kind == "mento-result" for output in row.outputs)][:1]


class FinishedJobs:
    """Remembers the confirmed g2 of the shown series.

    Attributes
    ----------
    confirmed_g2 : ConfirmedG2Part or None
        For the snapshot.
    """

    def __init__(self) -> None:
        self.confirmed_g2: ConfirmedG2Part | None = None

    def forget_shown(self) -> None:
        """Another series is shown from now on."""
        self.confirmed_g2 = None

    def take(self, row: JobRow, checked: CheckedResult, run: SeriesRun | None) -> FeedbackError | None:
        """Take in the result of a finished job; returns what is wrong with it, if anything."""
        if not checked.is_good:
            return DispatchError(
                f"The result of job {row.job_id} ({row.recipe} on {row.series}) is not shown: "
                + " ".join(problem.what for problem in checked.problems),
                still_works="The live numbers stand; the file is kept.",
                try_this="Run the recipe again from the job table.",
            )
        # Files of another form are shown by the window when a person asks for them.
        if checked.path is None or run is None or run.info.name != row.series:
            return None
        try:
            self.confirmed_g2 = _confirmed(row.job_id, checked.path, run)
        except FeedbackError as error:
            return error
        return None


def _confirmed(job_id: str, path: Path, run: SeriesRun) -> ConfirmedG2Part | None:
    live = run.analysis.g2()
    if live is None:
        return None
    result: CorrelationResult = read_result(path)
    frame_time_s = run.info.frame_time_s or 1.0
    finite = np.isfinite(result.g2).any(axis=0)
    lag_s = result.lag_frames[finite] * result.frame_time_s
    shown = lag_s > 0
    z_score, agreement = compare_g2(
        live.lag_frames[1:] * frame_time_s,
        live.g2[:, 1:],
        live.g2_err[:, 1:],
        lag_s[shown],
        result.g2[:, finite][:, shown],
        result.g2_err[:, finite][:, shown],
    )
    return ConfirmedG2Part(
        job_id=job_id,
        lag_s=lag_s[shown],
        g2=result.g2[:, finite][:, shown],
        g2_err=result.g2_err[:, finite][:, shown],
        q_inv_nm=result.q_inv_nm,
        z_score=z_score,
        agreement=agreement,
    )
