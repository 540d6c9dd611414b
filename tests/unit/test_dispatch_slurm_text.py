"""What Slurm's commands print, in all the forms they may take."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.dispatch.scheduler import BatchRequest, BatchState
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.slurm_text import parse_sacct, parse_sbatch, parse_squeue, state_of, words_for
from backend.dispatch.transport import CommandResult
from backend.errors import DispatchError

NUMBERS = st.integers(1, 2**31).map(str)
WORDS = st.text(st.characters(exclude_characters="|\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30)


class Answers:
    """A transport whose commands are answered with what was prepared; keeps what was asked."""

    place = "somewhere"

    def __init__(self, *answers: CommandResult) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def run(self, command: list[str], *, stdin: str = "", timeout_s: float = 30.0) -> CommandResult:
        self.asked.append(command)
        return self.answers.pop(0)

    def close(self) -> None:
        raise AssertionError("nobody asked for it")


def request() -> BatchRequest:
    return BatchRequest(
        key="a-1.2", script="#!/bin/sh\n", log=PurePosixPath("/b/a%j/log.txt"), time_limit_s=61.0
    )


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("17\n", "17"),
        ("17;solaris\n", "17"),
        ("Welcome to max!\n18;maxwell\n", "18"),
        ("", ""),
        ("a17\n", ""),
    ],
)
def test_the_number_of_a_submitted_job(output: str, number: str) -> None:
    assert parse_sbatch(output) == number


@given(st.text())
def test_no_output_breaks_a_parser(output: str) -> None:
    for number in (
        parse_sbatch(output),
        *(job.number for job in (*parse_squeue(output), *parse_sacct(output))),
    ):
        assert number == "" or number[0].isdecimal()


@given(
    NUMBERS, st.sampled_from(["PENDING", "RUNNING", "COMPLETED", "NODE_FAIL", "NEW_WORD"]), WORDS,
    st.text(st.characters(exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cs"])),
)  # fmt: skip
def test_what_squeue_prints_is_read_back(number: str, word: str, reason: str, name: str) -> None:
    (job,) = parse_squeue(f"{number}|{word}|{reason}|2026-11-30T09:21:04|N/A|{name}\n")
    assert (job.number, job.key, job.submitted) == (number, name, "2026-11-30T09:21:04")
    assert job.state is state_of(word) and job.reason and job.starts == ""
    assert job.identity == f"{number} 2026-11-30T09:21:04"


def test_a_job_that_waits() -> None:
    line = "7|PENDING|{}|2026-11-30T09:00:00|{}|key\n"
    (held,) = parse_squeue(line.format("JobHeldUser", "N/A"))
    assert held.held and held.state is BatchState.WAITING
    (waiting,) = parse_squeue(line.format("Resources", "2026-11-30T09:32:10"))
    assert not waiting.held and waiting.starts == "09:32 on 2026-11-30"
    (details,) = parse_squeue(line.format("ReqNodeNotAvail, UnavailableNodes:max-p3a001", "N/A"))
    assert details.reason == "A node it needs is down, drained or reserved for others."
    (unheard,) = parse_squeue(line.format("SomethingNew", "N/A"))
    assert unheard.reason == "Waiting; Slurm's reason: SomethingNew."


def test_a_state_that_nobody_knows_stays_unknown() -> None:
    assert state_of("QUANTUM") is BatchState.UNKNOWN and not state_of("QUANTUM").is_over
    assert "QUANTUM" in words_for("QUANTUM", "")


def test_what_sacct_prints() -> None:
    (job,) = parse_sacct("12|CANCELLED by 1000|0:15|2026-11-30T09:00:00|key\n")
    assert job.state is BatchState.CANCELLED and job.key == "key" and job.state.is_over


@pytest.mark.parametrize(
    ("answer", "number", "refused"),
    [
        (CommandResult(0, "5\n", "warning: can't honor --ntasks-per-node"), "5", False),
        (CommandResult(1, "", "sbatch: error: invalid partition specified: x"), "", True),
        (CommandResult(1, "", "sbatch: error: Socket timed out on send/recv operation"), "", False),
        (CommandResult(1, "", "Unable to contact slurm controller (connect failure)"), "", False),
        (CommandResult(None, "", "the connection broke"), "", False),
        (CommandResult(None, "5\n", ""), "", False),
        (CommandResult(0, "", ""), "", False),
    ],
)
def test_only_a_clear_no_is_a_refusal(answer: CommandResult, number: str, refused: bool) -> None:
    submission = SlurmScheduler(Answers(answer), SlurmOptions()).submit(request())
    assert (submission.number, submission.refused) == (number, refused)


def test_what_sbatch_is_asked_for() -> None:
    transport = Answers(CommandResult(0, "1\n", ""))
    SlurmScheduler(transport, SlurmOptions(partition="ps", reservation="r", further=("-c8",))).submit(
        request()
    )
    (command,) = transport.asked
    assert command[0] == "/usr/bin/sbatch"
    for option in (
        "--hold",
        "--no-requeue",
        "--export=NONE",
        "--job-name=a-1.2",
        "--comment=a-1.2",
        "--time=3",
    ):
        assert option in command
    assert "--output=/b/a%%j/log.txt" in command and command[-3:] == [
        "--partition=ps",
        "--reservation=r",
        "-c8",
    ]


def test_a_cluster_without_accounts_is_asked_once() -> None:
    transport = Answers(CommandResult(1, "", "Slurm accounting storage is disabled"))
    scheduler = SlurmScheduler(transport, SlurmOptions())
    assert scheduler.past_jobs(["a"], 0.0) is None and scheduler.past_jobs(["a"], 0.0) is None
    assert len(transport.asked) == 1


def test_a_queue_that_cannot_be_seen_is_not_empty() -> None:
    scheduler = SlurmScheduler(Answers(CommandResult(1, "", "slurm_load_jobs error")), SlurmOptions())
    with pytest.raises(DispatchError, match="squeue on somewhere gave no answer: slurm_load_jobs error"):
        scheduler.jobs()
