"""Answers of slurmrestd in any version, and tokens and where they may go; the server is in the system tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.dispatch.rest_client import RestAddress, RestClient
from backend.dispatch.scheduler import BatchState
from backend.dispatch.slurm_rest import number_in, parse_jobs
from backend.dispatch.token_file import read_token
from backend.dispatch.transport import TransportError
from backend.errors import DispatchError

OLD: dict[str, Any] = {
    "job_id": 7, "user_name": "staff", "name": "key", "job_state": "PENDING", "state_reason": "JobHeldUser",
    "submit_time": 1796039028, "start_time": 0,
}  # fmt: skip
# As the interface is described from v0.0.40 on; no server of that version was at hand.
NEW = OLD | {
    "job_state": ["PENDING"],
    "submit_time": {"set": True, "infinite": False, "number": 1796039028},
    "start_time": {"set": False, "infinite": False, "number": 0},
}


@pytest.mark.parametrize("row", [OLD, NEW], ids=["old", "new"])
def test_a_held_job(row: dict[str, Any]) -> None:
    (job,) = parse_jobs({"jobs": [row, row | {"user_name": "other"}]}, "staff")
    assert (job.number, job.key, job.submitted, job.held, job.starts) == ("7", "key", "1796039028", True, "")
    assert job.state is BatchState.WAITING


def test_a_job_whose_reservation_is_gone_never_starts() -> None:
    (job,) = parse_jobs({"jobs": [OLD | {"state_reason": "ReservationDeleted"}]}, "staff")
    assert job.never_starts and not job.held


def test_a_state_that_nobody_knows_stays_unknown() -> None:
    (job,) = parse_jobs({"jobs": [OLD | {"job_state": "LEVITATING"}]}, "staff")
    assert job.state is BatchState.UNKNOWN and "LEVITATING" in job.reason


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(_ANYTHING, st.dictionaries(st.sampled_from(sorted(OLD)), _ANYTHING))
def test_any_answer_can_be_read(rows: Any, changes: dict[str, Any]) -> None:
    parse_jobs({"jobs": rows}, "staff")
    for job in parse_jobs({"jobs": [OLD | changes]}, "staff"):
        assert job.number.isdigit()
    assert number_in(rows) >= 0


@pytest.mark.parametrize("content", ["abc.def-g_h", "SLURM_JWT=abc.def-g_h\n"])
def test_a_token_as_it_is_printed(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(content)
    assert read_token(file) == "abc.def-g_h"


@pytest.mark.parametrize("content", [b"", b"a b", b"a\nX-Header: b", "gehe\u00ed\u006dnis".encode()])
def test_what_is_no_token_is_told_without_its_contents(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(DispatchError, match="holds no token") as caught:
        read_token(file)
    assert not content or content.decode() not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_token_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    file.chmod(mode)
    client = RestClient(RestAddress("https://127.0.0.1:1", "v0.0.38", "staff", file))
    # The job stays queued until that is mended.
    with pytest.raises(TransportError, match=f"mode {mode:04o}") as caught:
        client.ask("GET", "/ping")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://max-slurm-rest.desy.de/sapi", "ftp://127.0.0.1", "https://", "127.0.0.1:80"]
)
def test_a_token_goes_over_encrypted_or_local_connections_only(tmp_path: Path, url: str) -> None:
    with pytest.raises(DispatchError, match="not the address of a slurmrestd"):
        RestClient(RestAddress(url, "v0.0.38", "staff", tmp_path / "token"))
