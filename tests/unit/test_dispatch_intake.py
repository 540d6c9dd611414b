"""What the intake takes for a good result, and what it sets aside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest
from local_jobs import (
    WRITE_RESULT,
    intent,
    prepare,
    wrapper,
)

from backend.dispatch.intake import take_in
from backend.dispatch.job import (
    DONE_FILE,
    INTENT_FILE,
    JobIntent,
    JobRecord,
    JobState,
    JobStatus,
)
from backend.dispatch.local_executor import LocalExecutor


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> JobIntent:
    job = prepare(intent(tmp_path_factory.mktemp("finished"), WRITE_RESULT))
    assert wrapper(job).communicate()[0] is None
    return job


@pytest.fixture
def job(finished: JobIntent, tmp_path: Path) -> JobIntent:
    """A finished job of its own in ``tmp_path``."""
    shutil.copytree(finished.result_path.parent, tmp_path / "results")
    moved = intent(tmp_path, WRITE_RESULT)
    for name in (INTENT_FILE, DONE_FILE):
        path = moved.folder / name
        path.write_text(path.read_text().replace(str(finished.result_path.parent), str(tmp_path / "results")))
    return moved


def refusal(job: JobIntent) -> str:
    result = take_in(job.folder)
    assert not result.is_good
    assert result.problems[0].try_this
    return result.problems[0].what


def test_the_copied_job_is_good(job: JobIntent) -> None:
    assert take_in(job.folder).is_good


def test_changed_results_are_refused_and_kept(job: JobIntent) -> None:
    content = bytearray(job.result_path.read_bytes())
    content[-1] ^= 1
    job.result_path.write_bytes(content)
    assert "checksum" in refusal(job)
    job.result_path.write_bytes(content[:-10])
    assert "bytes" in refusal(job)
    assert job.result_path.exists()
    job.result_path.unlink()
    assert "cannot be read" in refusal(job)


def test_without_done_nothing_is_believed(job: JobIntent) -> None:
    (job.folder / DONE_FILE).unlink()
    assert DONE_FILE in refusal(job)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job_id": 3}', "\x00", "null"])
def test_a_damaged_done_is_refused(job: JobIntent, text: str) -> None:
    (job.folder / DONE_FILE).write_text(text)
    assert "cannot be used" in refusal(job)
    (report,) = LocalExecutor().poll([JobRecord(job, JobStatus(state=JobState.RUNNING))])
    assert report.state is JobState.FAILED


@pytest.mark.parametrize("field", ["job_id", "series", "recipe_sha256", "result_path"])
def test_the_done_of_another_job_is_refused(job: JobIntent, field: str) -> None:
    document = json.loads((job.folder / DONE_FILE).read_text())
    document[field] = "/other"
    (job.folder / DONE_FILE).write_text(json.dumps(document))
    assert "another" in refusal(job)


def test_a_file_that_is_no_result_is_refused_though_its_checksum_fits(tmp_path: Path) -> None:
    text = prepare(intent(tmp_path, "import sys; open(sys.argv[1], 'w').write('no hdf5')"))
    wrapper(text).communicate()
    assert "not a sound HDF5" in refusal(text)


def test_a_result_without_g2_is_refused(tmp_path: Path) -> None:
    empty = prepare(intent(tmp_path, "import sys, h5py; h5py.File(sys.argv[1], 'w').close()"))
    wrapper(empty).communicate()
    with h5py.File(empty.result_path) as file:
        assert not list(file)
    assert "holds no /xpcs/multitau/normalized_g2" in refusal(empty)
