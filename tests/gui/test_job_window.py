"""The window of one job: what it asks, what it shows, what its buttons wish for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import paramiko
import pytest
from example_snapshots import empty, example

from backend.dispatch.host_keys import fingerprint, read_known_hosts
from backend.errors import FeedbackError
from backend.job_details import JobDetails, JobStep
from backend.requests import CancelJob, InspectJob, Reply, ResumeJob
from backend.snapshot import UntrustedHost
from mento_gui.host_approval import HostApproval
from widgets.job_window import JobWindow

NOW = 1_790_000_000.0


def details(state: str, **changes: object) -> JobDetails:
    job = JobDetails(
        job_id="silica_00012-xpcs-0a1b2c3d4e5f-1",
        series="silica_00012",
        recipe="xpcs",
        recipe_sha256="ab" * 32,
        attempt=1,
        executor="slurm",
        state=state,
        reason="Waiting for free nodes; Slurm expects to start it at 14:05 on 2026-11-30.",
        try_this="",
        identity="4711 2026-11-30T13:59:02",
        command=("python", "-m", "mento_gui", "correlate"),
        folder="/gpfs/current/processed/onlineanalysis/silica_00012/e4m/.jobs/silica_00012-xpcs-0a1b2c3d4e5f-1",
        submitted_at=NOW,
        started_at=None,
        ended_at=None,
        versions={},
        steps=(
            JobStep(state="queued", reason="", at=NOW),
            JobStep(state="submitted", reason="on hold", at=NOW + 1),
            JobStep(state="submitted", reason="Waiting for free nodes.", at=NOW + 2),
        ),
        log=(),
    )
    return msgspec.structs.replace(job, **changes)


@pytest.fixture
def shown(qtbot, keep) -> tuple[JobWindow, list[object]]:
    wishes: list[object] = []
    window = JobWindow(clock=lambda: NOW + 75.0)
    window.wish.connect(wishes.append)
    keep(window)
    window.open_job("silica_00012-xpcs-0a1b2c3d4e5f-1")
    return window, wishes


def words(window: JobWindow) -> dict[str, str]:
    found = {}
    for row in range(window.facts.rowCount()):
        label, field = (window.facts.itemAt(row, role).widget() for role in (0, 1))
        found[label.text()] = field.text()
    return found


def answer(window: JobWindow, job: JobDetails) -> None:
    window.show_reply(InspectJob(job_id=job.job_id), Reply(ok=True, payload=msgspec.json.encode(job)))


def test_a_waiting_job(shown) -> None:
    window, wishes = shown
    assert wishes == [InspectJob(job_id=window.job_id)]
    answer(window, details("submitted"))
    said = words(window)
    assert said["State"] == "submitted for 1 min 15 s"
    assert "Slurm expects to start it at 14:05" in said["Reason"]
    assert said["Steps"].count("submitted") == 1 and said["Steps"].startswith("queued")
    assert window.cancel.isEnabled() and not window.again.isEnabled()
    window.cancel.click()
    assert wishes[-1] == CancelJob(job_id=window.job_id)


def test_the_log_grows_and_stays_at_its_end(shown) -> None:
    window, _ = shown
    lines = tuple(f"line {number}" for number in range(40))
    answer(window, details("running", started_at=NOW + 60, log=lines))
    assert words(window)["State"] == "running for 15 s"
    assert window.log.toPlainText().endswith("line 39")
    bar = window.log.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(0)
    answer(window, details("running", started_at=NOW + 60, log=(*lines[1:], "line 40")))
    assert window.log.toPlainText().endswith("line 40") and bar.value() == 0


def test_a_failed_job_says_why_and_what_to_do(shown) -> None:
    window, wishes = shown
    answer(
        window,
        details(
            "failed", reason="The command ended with exit code 1.", try_this="Read its log.",
            started_at=NOW + 100, ended_at=NOW + 112, versions={"mento-gui": "0.1.0"}, log=("ValueError: no mask",),
        ),
    )  # fmt: skip
    said = words(window)
    assert said["State"] == "failed after 12 s" and said["Try"] == "Read its log."
    assert said["Versions"] == "mento-gui 0.1.0" and "abababababab" in said["Recipe"]
    window.again.click()
    assert wishes[-1] == ResumeJob(job_id=window.job_id)


def test_a_clock_that_is_ahead_gives_no_negative_time(shown) -> None:
    window, _ = shown
    answer(window, details("running", started_at=NOW + 3600))
    assert words(window)["State"] == "running for 0.0 s"


def test_answers_about_other_jobs_and_refusals(shown) -> None:
    window, _ = shown
    answer(window, details("running", job_id="another"))
    assert "State" not in words(window)
    window.show_reply(
        InspectJob(job_id=window.job_id), Reply(ok=False, message="There is no job x.", try_this="Look.")
    )
    assert words(window)["Backend"] == "There is no job x."


HOST = UntrustedHost(host="127.0.0.1", port=2222, known_hosts="")


@pytest.fixture
def approval(qtbot, keep, window, monkeypatch) -> HostApproval:
    made = HostApproval(window)
    made.key = paramiko.ECDSAKey.generate()
    monkeypatch.setattr("backend.dispatch.ssh_login.ask_host_key", lambda host, port, jump: made.key)
    return made


def _waiting(known_hosts: Path):
    return msgspec.structs.replace(
        example(), untrusted_host=msgspec.structs.replace(HOST, known_hosts=str(known_hosts))
    )


def test_a_host_is_approved_only_after_its_fingerprint_was_compared(
    qtbot, approval: HostApproval, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    approval.consider(_waiting(file))
    qtbot.waitUntil(approval.dialog.isVisible)
    assert approval.dialog.fingerprint.text() == fingerprint(approval.key)
    assert "[127.0.0.1]:2222" in approval.dialog.words.text()
    assert approval.dialog.later.isDefault() and not approval.dialog.approve.isEnabled()
    approval.dialog.approve.click()
    assert not file.exists()
    approval.dialog.compared.setChecked(True)
    approval.dialog.approve.click()
    assert read_known_hosts(file).check("[127.0.0.1]:2222", approval.key)
    assert not approval.dialog.isVisible()


def test_who_says_not_now_is_asked_again_only_on_demand(
    qtbot, approval: HostApproval, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    approval.consider(_waiting(file))
    qtbot.waitUntil(approval.dialog.isVisible)
    approval.dialog.later.click()
    approval.consider(_waiting(file))
    qtbot.wait(50)
    assert not approval.dialog.isVisible() and not file.exists()
    approval.ask_again()
    qtbot.waitUntil(approval.dialog.isVisible)
    # The backend no longer waits: somebody else has approved it.
    approval.consider(empty())
    assert not approval.dialog.isVisible()


def test_a_host_that_does_not_answer_is_told(
    qtbot, approval: HostApproval, tmp_path: Path, monkeypatch
) -> None:
    def refuse(host: str, port: int, jump: object) -> None:
        raise FeedbackError("no answer")

    monkeypatch.setattr("backend.dispatch.ssh_login.ask_host_key", refuse)
    with qtbot.waitSignal(approval.failed) as told:
        approval.consider(_waiting(tmp_path / "known_hosts"))
    assert told.args[0].what == "no answer" and not approval.dialog.isVisible()
