"""What a job leaves on the cluster comes here over a real SSH server: every file, and the word on them last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from daemons import missing_programs
from program import wait_until
from ssh_server import SshServer

from backend.beamtime.path_map import PathMap
from backend.dispatch.copy_line import CopyLine
from backend.dispatch.job import (
    CLAIM_FILE,
    DONE_FILE,
    LOG_FILE,
    DoneRecord,
    JobIntent,
    OutputRecord,
    write_record,
)
from backend.dispatch.result_fetcher import ResultFetcher
from backend.dispatch.ssh_transport import SshTransport

pytestmark = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    assert missing_programs(("sshd", "ssh-keygen")) == []
    server = SshServer(tmp_path / "ssh-server")
    server.prepare()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fetch(server: SshServer, tmp_path: Path) -> Iterator[Callable[[JobIntent], ResultFetcher]]:
    begun: list[ResultFetcher] = []
    paths = PathMap(PurePosixPath(tmp_path / "here"), PurePosixPath(tmp_path / "there"))

    def begin(intent: JobIntent) -> ResultFetcher:
        begun.append(ResultFetcher(CopyLine(SshTransport(server.address), paths, 1e9), 0.1))
        begun[-1].watch([intent])
        return begun[-1]

    yield begin
    for fetcher in begun:
        fetcher.close()


@pytest.fixture
def intent(tmp_path: Path) -> JobIntent:
    results = tmp_path / "here" / "processed"
    (tmp_path / "there" / "processed" / "job").mkdir(parents=True)
    return JobIntent(
        job_id="silica_00001-xpcs-1", series="silica_00001", detector="e4m", recipe="xpcs", recipe_sha256="",
        attempt=1, retries_left=0, executor="slurm", command=("true",), folder=results / "job",
        part_path=results / ".part", result_path=results / "result.h5", time_limit_s=60.0, nice=0, submitted_at=0.0,
    )  # fmt: skip


def _leave(intent: JobIntent, there: Path, files: dict[Path, bytes], *, sha256: str = "") -> None:
    """What a job of a program that may leave several files leaves."""
    rows = []
    for path, content in files.items():
        path.write_bytes(content)
        right = hashlib.sha256(content).hexdigest()
        rows.append(OutputRecord(path=path, kind="file", title="", x="", y=(), size_bytes=len(content),
                                 sha256=sha256 or right))  # fmt: skip
    done = DoneRecord(
        job_id=intent.job_id, series=intent.series, recipe="xpcs", recipe_sha256="", attempt=1, outcome="done",
        reason="", exit_code=0, command=("true",), result_path=there / "processed" / "result.h5", size_bytes=None,
        sha256="", identity="", started_at=0.0, ended_at=1.0, versions={}, outputs=tuple(rows),
    )  # fmt: skip
    write_record(there / "processed" / "job" / DONE_FILE, done)


def test_all_files_come_and_the_word_on_them_last(
    tmp_path: Path, intent: JobIntent, fetch: Callable[[JobIntent], ResultFetcher]
) -> None:
    there = tmp_path / "there"
    (there / "processed" / "job" / LOG_FILE).write_text("begun\n")
    (there / "processed" / "job" / CLAIM_FILE).write_text("{}")
    fetcher = fetch(intent)
    log = intent.folder / LOG_FILE
    wait_until(lambda: log.exists() and log.read_text() == "begun\n", 20.0, "the log is here")
    with (there / "processed" / "job" / LOG_FILE).open("a") as file:
        file.write("goes on\n")
    wait_until(lambda: log.read_text() == "begun\ngoes on\n", 20.0, "the rest of the log is here")
    assert (intent.folder / CLAIM_FILE).exists()
    began = time.monotonic()
    assert not fetcher.has_looked_since(intent.job_id, began)
    files = {
        "silica_00001_xpcs_results.h5": b"h5" * 1000,
        "silica_00001_xpcs_map.png": b"png",
        "small.csv": b"1",
    }
    _leave(intent, there, {there / "processed" / name: content for name, content in files.items()})
    wait_until((intent.folder / DONE_FILE).exists, 20.0, "done.json is here")
    for name, content in files.items():
        assert (tmp_path / "here" / "processed" / name).read_bytes() == content
    assert not list((tmp_path / "here").rglob(".part-*"))
    wait_until(lambda: fetcher.has_looked_since(intent.job_id, began), 20.0, "a later look has fetched all")


def test_a_file_that_is_wrong_there_does_not_hold_up_the_word_for_ever(
    tmp_path: Path, intent: JobIntent, fetch: Callable[[JobIntent], ResultFetcher]
) -> None:
    there = tmp_path / "there"
    _leave(intent, there, {there / "processed" / "result.h5": b"spoilt"}, sha256="0" * 64)
    fetch(intent)
    wait_until((intent.folder / DONE_FILE).exists, 30.0, "done.json is here")
    # Kept for whoever looks into it; who takes results in compares it with done.json and refuses it.
    assert intent.result_path.read_bytes() == b"spoilt"


def test_a_file_outside_the_beamtime_folder_is_not_fetched(
    tmp_path: Path, intent: JobIntent, fetch: Callable[[JobIntent], ResultFetcher]
) -> None:
    _leave(intent, tmp_path / "there", {tmp_path / "elsewhere.h5": b"x"})
    fetch(intent)
    wait_until((intent.folder / DONE_FILE).exists, 30.0, "done.json is here")
    assert not list((tmp_path / "here").rglob("elsewhere.h5"))
