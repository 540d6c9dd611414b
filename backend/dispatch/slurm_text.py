"""What Slurm's commands print, turned into jobs; pure functions.

Text formats (``-o``) are read because the shape of ``--json`` changes from version to version.
"""

from __future__ import annotations

import re

from backend.dispatch.scheduler import BatchJob, BatchState
from backend.dispatch.slurm_arrays import arrays_as_one

SQUEUE_FORMAT = "%i|%T|%r|%V|%S|%j"
"""Number, state, reason, submitted, starts, name; the name comes last as it may hold anything."""
SACCT_FORMAT = "JobID,State,ExitCode,Submit,JobName"
UNCERTAIN = re.compile(
    r"timed out|unable to contact|connect failure|communication|connection|transport|zero bytes|try again",
    re.IGNORECASE,
)
"""Words of Slurm after which a job may have been taken all the same."""

_STATES = {
    "PENDING": BatchState.WAITING,
    "CONFIGURING": BatchState.WAITING,
    "REQUEUED": BatchState.WAITING,
    "REQUEUE_FED": BatchState.WAITING,
    "REQUEUE_HOLD": BatchState.WAITING,
    "RESV_DEL_HOLD": BatchState.WAITING,
    "SPECIAL_EXIT": BatchState.WAITING,
    "RUNNING": BatchState.RUNNING,
    "COMPLETING": BatchState.RUNNING,
    "RESIZING": BatchState.RUNNING,
    "SIGNALING": BatchState.RUNNING,
    "STAGE_OUT": BatchState.RUNNING,
    "STOPPED": BatchState.RUNNING,
    "SUSPENDED": BatchState.RUNNING,
    "COMPLETED": BatchState.ENDED_WELL,
    "FAILED": BatchState.ENDED_BADLY,
    "TIMEOUT": BatchState.ENDED_BADLY,
    "OUT_OF_MEMORY": BatchState.ENDED_BADLY,
    "DEADLINE": BatchState.ENDED_BADLY,
    "BOOT_FAIL": BatchState.ENDED_BADLY,
    "PREEMPTED": BatchState.ENDED_BADLY,
    "REVOKED": BatchState.ENDED_BADLY,
    "CANCELLED": BatchState.CANCELLED,
    "NODE_FAIL": BatchState.NODE_LOST,
}
_ENDINGS = {
    "COMPLETED": "It ended on the cluster.",
    "FAILED": "It failed on the cluster.",
    "TIMEOUT": "Slurm stopped it at its time limit.",
    "OUT_OF_MEMORY": "It needed more memory than Slurm had given it.",
    "DEADLINE": "Slurm stopped it at its deadline.",
    "BOOT_FAIL": "Its node did not start.",
    "PREEMPTED": "Slurm stopped it in favour of another job.",
    "REVOKED": "Another cluster took it over.",
    "CANCELLED": "It was cancelled on the cluster.",
    "NODE_FAIL": "Its node no longer answers Slurm; it may still be running there.",
}
_WAITS = {
    "JobHeldUser": "Handed over, on hold until it is written down here.",
    "JobHeldAdmin": "Held by the cluster's administrators.",
    "Resources": "Waiting for free nodes.",
    "Priority": "Waiting behind jobs of higher priority.",
    "None": "Waiting for Slurm to look at it.",
    "Reservation": "Waiting for its reservation to begin.",
    "QOSMaxSubmitJobPerUserLimit": "Waiting until fewer jobs of this account are there.",
    "AssocMaxJobsLimit": "Waiting until fewer jobs of this account run.",
    "AssocGrpCpuLimit": "Waiting until the account's jobs use fewer processors.",
    "ReservationDeleted": "Its reservation was taken away, so it will not start.",
    "PartitionDown": "Its partition is out of service.",
    "PartitionInactive": "Its partition is out of service.",
    "PartitionConfig": "Its partition cannot give what it asks for, so it will not start.",
    "PartitionNodeLimit": "Its partition cannot give so many nodes, so it will not start.",
    "PartitionTimeLimit": "It asks for more time than its partition allows, so it will not start.",
    "ReqNodeNotAvail": "A node it needs is down, drained or reserved for others.",
    "NodeDown": "A node it needs is down.",
    "BadConstraints": "No node can give what it asks for, so it will not start.",
    "InvalidAccount": "Its account may not run jobs, so it will not start.",
    "InvalidQOS": "Its quality of service may not run jobs, so it will not start.",
    "BeginTime": "Waiting for its earliest start time.",
    "Dependency": "Waiting for another job.",
    "JobArrayTaskLimit": "Waiting for other parts of its array.",
}
_NOT_NOW = re.compile(
    r"reservation|qos|accounting.* policy|quota|no space left|partition .*(down|inactive|not available)",
    re.IGNORECASE,
)
_NEVER_STARTS = ("ReservationDeleted",)
_NO_TIME = ("", "N/A", "NONE", "UNKNOWN", "(NULL)")
_NUMBER = re.compile(r"\d+")


def parse_sbatch(output: str) -> str:
    """Job number from the output of ``sbatch --parsable`` (``number`` or ``number;cluster``); "" when there is none.

    Other lines, for instance a greeting of the log-in shell, are passed over.
    """
    for line in reversed(output.splitlines()):
        number = line.strip().partition(";")[0]
        if _NUMBER.fullmatch(number):
            return number
    return ""


def is_not_now(message: str) -> bool:
    """True for a refusal that has nothing to do with the job: a reservation that is gone, a limit that is reached."""
    return _NOT_NOW.search(message) is not None


def parse_squeue(output: str) -> tuple[BatchJob, ...]:
    """Jobs from lines of ``SQUEUE_FORMAT``, an array as one job; lines of another form are passed over."""
    found = []
    for line in output.splitlines():
        fields = line.strip().split("|", 5)
        if len(fields) == 6 and _NUMBER.match(fields[0]):
            number, word, reason, submitted, starts, key = fields
            found.append(
                BatchJob(
                    number=number,
                    key=key,
                    submitted=submitted,
                    state=state_of(word),
                    held=word == "PENDING" and reason == "JobHeldUser",
                    reason=words_for(word, reason),
                    starts=_clock_time(starts) if word == "PENDING" else "",
                    never_starts=never_starts(word, reason),
                )
            )
    return arrays_as_one(found)


def parse_sacct(output: str) -> tuple[BatchJob, ...]:
    """Jobs from lines of ``SACCT_FORMAT`` as ``sacct -X -n -P`` prints them, an array as one job."""
    found = []
    for line in output.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5 and _NUMBER.match(fields[0]):
            number, word, _, submitted, key = fields
            # "CANCELLED by 1000" carries the number of the user.
            word = word.partition(" ")[0]
            found.append(
                BatchJob(
                    number=number,
                    key=key,
                    submitted=submitted,
                    state=state_of(word),
                    reason=words_for(word, ""),
                )
            )
    return arrays_as_one(found)


def state_of(word: str) -> BatchState:
    """State for Slurm's word, long form; a word that is not known stays unknown."""
    return _STATES.get(word, BatchState.UNKNOWN)


def never_starts(word: str, reason: str) -> bool:
    """True for a job that waits for what is gone for good."""
    return word == "RESV_DEL_HOLD" or reason in _NEVER_STARTS


def words_for(word: str, reason: str) -> str:
    """Slurm's state and reason as one sentence; what has no sentence here is quoted."""
    state = state_of(word)
    if state is BatchState.WAITING:
        # Some reasons carry details: "ReqNodeNotAvail, UnavailableNodes:max-p3a001".
        plain = _WAITS.get(re.split(r"[, (]", reason)[0])
        return plain or f"Waiting; Slurm's reason: {reason}."
    if state is BatchState.RUNNING:
        return "Running on the cluster."
    if state is BatchState.UNKNOWN:
        return f"Slurm calls its state {word}, which is not known here."
    return _ENDINGS[word]


def _clock_time(stamp: str) -> str:
    if stamp.upper() in _NO_TIME:
        return ""
    day, _, clock = stamp.partition("T")
    return f"{clock[:5]} on {day}" if clock else stamp
