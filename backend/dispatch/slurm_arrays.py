"""The tasks of an array of Slurm, which it lists one by one, as the one job that they are to us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backend.dispatch.scheduler import BatchJob, BatchState

_WORST_FIRST = (
    BatchState.NODE_LOST, BatchState.ENDED_BADLY, BatchState.CANCELLED, BatchState.ENDED_WELL,
)  # fmt: skip


def arrays_as_one(rows: Iterable[BatchJob]) -> tuple[BatchJob, ...]:
    """Jobs in the order of their first rows; rows numbered ``12_3`` or ``12_[4-7]`` are tasks of the job 12."""
    jobs: dict[str, list[BatchJob]] = {}
    for row in rows:
        jobs.setdefault(row.number.partition("_")[0], []).append(row)
    return tuple(
        shown[0] if shown[0].number == number and len(shown) == 1 else _as_one(number, shown)
        for number, shown in jobs.items()
    )


def _as_one(number: str, tasks: Sequence[BatchJob]) -> BatchJob:
    waiting = [task for task in tasks if task.state is BatchState.WAITING]
    unknown = [task for task in tasks if task.state is BatchState.UNKNOWN]
    running = [task for task in tasks if task.state is BatchState.RUNNING]
    over = [task for task in tasks if task.state.is_over]
    whole = replace(
        tasks[0],
        number=number,
        submitted=min(task.submitted for task in tasks),
        held=any(task.held for task in waiting),
        starts=min((task.starts for task in waiting if task.starts), default=""),
        never_starts=any(task.never_starts for task in waiting),
    )
    if running or (over and waiting):
        return replace(whole, state=BatchState.RUNNING, reason=_progress(running, over, waiting))
    if unknown or waiting:
        first = (unknown or waiting)[0]
        return replace(whole, state=first.state, reason=first.reason)
    state = next(state for state in _WORST_FIRST if any(task.state is state for task in over))
    return replace(whole, state=state, reason=_end(state, over))


def _progress(running: Sequence[BatchJob], over: Sequence[BatchJob], waiting: Sequence[BatchJob]) -> str:
    words = [f"{len(running)} tasks run", f"{len(over)} have ended"]
    if waiting:
        words.append(f"the others wait ({waiting[0].reason.rstrip('.')})")
    return f"{', '.join(words)}."


def _end(state: BatchState, over: Sequence[BatchJob]) -> str:
    of_state = [task for task in over if task.state is state]
    first = of_state[0]
    if state is BatchState.ENDED_WELL:
        return first.reason
    further = f" So it is with {len(of_state) - 1} further ones." if len(of_state) > 1 else ""
    return f"Task {first.number.partition('_')[2]}: {first.reason}{further}"
