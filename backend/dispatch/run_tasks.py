"""Runs tasks of a job that consists of several, each once; the one that ends last speaks for all."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable

from backend.dispatch.folders import make_folder
from backend.dispatch.job import CLAIM_FILE, LOG_FILE, DoneRecord, JobIntent, open_for_group, read_record
from backend.dispatch.job_tasks import JOIN_FILE, ended_file, named, task_intent, tasks_of, tasks_without_word
from backend.dispatch.last_word import claim, write_last_word
from backend.dispatch.log_tail import read_last_lines
from backend.dispatch.run_command import Outcome, StopRequest, run_command

_LOG_LINES = 5


def run_tasks(intent: JobIntent, tasks: Iterable[int], stop: StopRequest) -> Outcome | None:
    """Run those of the tasks that nobody has begun.

    What becomes of the whole job; ``None`` when another process will say that.

    Raises
    ------
    OSError
        The job folder cannot be written.
    DispatchError
        The word of another task cannot be read.
    """
    for task in tasks:
        if stop.came:
            return Outcome("stopped", "The job was asked to stop and did.", None)
        _run_task(intent, task, stop)
    if tasks_without_word(intent) or claim(intent.folder / JOIN_FILE, intent, stop) is None:
        return None
    return _joined(intent)


def _run_task(intent: JobIntent, task: int, stop: StopRequest) -> None:
    own = task_intent(intent, task)
    make_folder(own.folder, beneath=intent.folder)
    began = claim(own.folder / CLAIM_FILE, own, stop)
    if began is None:
        _say(f"duplicate: task {task} is run by another process")
        return
    _say(f"Task {task} has begun on {socket.gethostname()}; it says more in {own.folder / LOG_FILE}")
    with open(own.folder / LOG_FILE, "ab", opener=open_for_group) as log:
        outcome = run_command(own, stop, log)
    if outcome.word != "done":
        for line in read_last_lines(own.folder / LOG_FILE, _LOG_LINES):
            _say(f"task {task}: {line}")
    ended = ended_file(intent, task)
    make_folder(ended.parent, beneath=intent.folder)
    write_last_word(ended, own, outcome, began.started_at, stop)
    total = len(tasks_of(intent))
    _say(f"Task {task}: {outcome.reason}")
    _say(f"progress {sum(1 for _ in ended.parent.glob('*.json')) / total:.3f}")


def _joined(intent: JobIntent) -> Outcome:
    words = {task: read_record(ended_file(intent, task), DoneRecord) for task in tasks_of(intent)}
    bad = {task: word for task, word in words.items() if word is not None and word.outcome != "done"}
    if not bad:
        return Outcome("done", f"All {len(words)} tasks ended well.", 0)
    first, word = next(iter(bad.items()))
    others = [task for task in bad if task != first]
    further = f" So did {named(others)}." if others else ""
    return Outcome("failed", f"Task {first} of {len(words)} failed. {word.reason}{further}", word.exit_code)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
