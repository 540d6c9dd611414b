"""Minds executors that are in trouble: tells it, and lets jobs run on this computer whose recipes allow that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from backend.dispatch.executor import Executor
from backend.dispatch.job import JobIntent, JobRecord, JobState
from backend.dispatch.job_board import JobBoard
from backend.dispatch.outage import Backlog, Outage, notice_of
from backend.dispatch.recipe import Recipe
from backend.dispatch.ssh_login import SshAddress, UnknownHostError
from backend.frames import SourceNotice
from backend.snapshot import JumpHost, UntrustedHost

_HERE = "local"
_HANDED_OVER = (JobState.SUBMITTED, JobState.RUNNING, JobState.UNKNOWN)


class OutageWatch:
    """Remembers since when each executor is in trouble. Not for several threads at once.

    Parameters
    ----------
    board : JobBoard
        The jobs.
    executors : mapping of str to Executor
        By name.
    recipe_of : callable
        Recipe of this name, ``None`` if there is none any more.
    local_after_s : float
        How long a cluster may be in trouble before jobs run here instead.
    """

    def __init__(
        self,
        board: JobBoard,
        executors: Mapping[str, Executor],
        recipe_of: Callable[[str], Recipe | None],
        local_after_s: float,
    ) -> None:
        self._board = board
        self._executors = executors
        self._recipe_of = recipe_of
        self._local_after_s = local_after_s
        self._outages: dict[str, Outage] = {}
        self._moved: dict[str, str] = {}
        self._notices: dict[str, SourceNotice] = {}

    @property
    def notices(self) -> tuple[SourceNotice, ...]:
        """One per executor; an empty one when nothing keeps it from its work."""
        return tuple(self._notices.values())

    @property
    def untrusted_host(self) -> UntrustedHost | None:
        """A host that may not be talked to before a person has approved its key; a jump host comes first."""
        for outage in self._outages.values():
            cause = outage.problem.__cause__
            if isinstance(cause, UnknownHostError):
                return _untrusted(cause.address)
        return None

    def mind(self, executor: Executor, now: float, may_be_elsewhere: Callable[[str], bool]) -> None:
        """Take down how an executor is at ``now`` (seconds since 1970), and help those of its jobs that may be helped.

        Only jobs that were certainly not started move; ``may_be_elsewhere`` tells which of them are not so certain.
        They keep key and folder, and with these the claim: should the cluster have one after all, the first works.
        """
        outage = self._note(executor, now)
        here = self._executors.get(_HERE)
        if outage and now - outage.since >= self._local_after_s and here is not None and here is not executor:
            for job in self._board.jobs(JobState.QUEUED, executor=executor.name):
                certain = not may_be_elsewhere(job.intent.job_id) and executor.may_move(job.intent)
                if certain and self._may_run_here(job):
                    self._move(job, executor, here, outage, now)
        self._notices[executor.name] = notice_of(executor.name, outage, self._backlog(executor))

    def _note(self, executor: Executor, now: float) -> Outage | None:
        problem = executor.trouble
        if problem is None:
            self._outages.pop(executor.name, None)
            return None
        known = self._outages.get(executor.name)
        self._outages[executor.name] = Outage(problem, now if known is None else known.since)
        return self._outages[executor.name]

    def _may_run_here(self, job: JobRecord) -> bool:
        recipe = self._recipe_of(job.intent.recipe)
        if recipe is None or recipe.text_sha256 != job.intent.recipe_sha256:
            # What it allows now is not what the job was asked for under.
            return False
        return recipe.without_cluster == "local" and not job.status.cancel_asked

    def _move(self, job: JobRecord, there: Executor, here: Executor, outage: Outage, now: float) -> None:
        self._board.move(intent_for(job.intent, there, here))
        reason = f"Waiting for this computer instead of the cluster. {outage.problem.what}"
        self._board.store(
            self._board[job.intent.job_id].intent, replace(job.status, reason=reason, try_this=""), now
        )
        self._moved[job.intent.job_id] = there.name

    def _backlog(self, executor: Executor) -> Backlog:
        of_it = self._board.jobs(JobState.QUEUED, *_HANDED_OVER, executor=executor.name)
        waiting = sum(job.status.state is JobState.QUEUED for job in of_it)
        moved = [
            job_id for job_id, name in self._moved.items() if name == executor.name and job_id in self._board
        ]
        here = sum(not self._board[job_id].status.state.is_final for job_id in moved)
        return Backlog(waiting, len(of_it) - waiting, here)


def _untrusted(address: SshAddress) -> UntrustedHost:
    jump = address.jump
    return UntrustedHost(
        host=address.host,
        port=address.port,
        known_hosts=str(address.known_hosts.absolute()),
        jump=None
        if jump is None
        else JumpHost(host=jump.host, port=jump.port, user=jump.user, key_file=str(jump.key_file.absolute())),
    )


def intent_for(intent: JobIntent, there: Executor, here: Executor) -> JobIntent:
    """The same job for another executor, with interpreter and settings of this program as they are called there."""
    changes = {there.python: here.python}
    if there.settings_file is not None and here.settings_file is not None:
        changes[str(there.settings_file)] = str(here.settings_file)
    command = tuple(changes.get(argument, argument) for argument in intent.command)
    values = {name: changes.get(value, value) for name, value in intent.plan.values.items()}
    return replace(intent, executor=here.name, command=command, plan=replace(intent.plan, values=values))
