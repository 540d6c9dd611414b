"""How checks follow from each other, what Slurm's words mean to them, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.doctor.checkup import ALL_CHECKS
from backend.doctor.examination import Check, Examination, carry_out
from backend.doctor.finding import Finding, Outcome, fault, good, note
from backend.doctor.node_report import read_node_report, write_node_report
from backend.doctor.report import is_at_fault, json_of, summary_of, text_of
from backend.doctor.slurm_checks import reservation_facts, time_limit_s
from backend.errors import DispatchError
from backend.settings import Settings


def examination(root: Path = Path("/nowhere")) -> Examination:
    return Examination(root, Settings(), 0.0)


def outcomes(*checks: Check) -> dict[str, Finding]:
    return {check.name: finding for check, finding in carry_out(checks, examination())}


def test_what_a_fault_leaves_open_is_not_tried_and_names_the_root() -> None:
    tried: list[str] = []

    def broken(_: Examination) -> Finding:
        raise DispatchError("It broke.", still_works="All else.", try_this="Mend it.")

    def remember(_: Examination) -> Finding:
        tried.append("x")
        return good("fine")

    found = outcomes(
        Check("a", (), broken),
        Check("b", ("a",), remember),
        Check("c", ("b",), remember),
        Check("d", (), lambda _: fault("f", "m", "t")),
        Check("e", ("c", "d"), remember),
        Check("f", (), remember),
        Check("g", ("f",), lambda _: note("n", "m")),
        Check("h", ("g",), lambda _: None),
        Check("i", ("h",), remember),
    )
    assert found["a"] == fault("It broke.", "All else.", "Mend it.")
    assert found["b"].found == found["c"].found == 'Not checked because "a" failed.'
    assert found["e"].found == 'Not checked because "a" and "d" failed.'
    # A note stops nothing, nor does a check that does not apply.
    assert found["i"].outcome is Outcome.GOOD and "h" not in found and tried == ["x", "x"]


def test_checks_need_only_what_comes_before_them() -> None:
    earlier: set[str] = set()
    for check in ALL_CHECKS:
        assert set(check.needs) <= earlier, check.name
        assert check.name not in earlier
        earlier.add(check.name)


def test_the_page_and_its_json() -> None:
    results = [
        (Check("disk", (), lambda _: None), good("12 GB are free.")),
        (Check("log-in", (), lambda _: None), fault("no answer " * 20, "Jobs wait.", "Ask.")),
        (Check("clock", (), lambda _: None), Finding(Outcome.NOT_CHECKED, "because")),
    ]
    page = "\n".join(text_of(*result) for result in results)
    assert page.startswith("ok      disk: 12 GB are free.\nFAULT   log-in: no answer")
    assert "        Means: Jobs wait.\n        Try: Ask.\n-       clock: because" in page
    assert max(map(len, page.splitlines())) <= 110
    assert summary_of(results).startswith(
        "1 in order, 0 to know, 1 at fault, 1 not checked. Jobs on the cluster will"
    )
    assert is_at_fault(results) and not is_at_fault(results[:1])
    said = json.loads(json.dumps(json_of(results)))
    assert said["good"] is False and said["checks"][1]["try_this"] == "Ask."


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 1800.0), ("30:00", 1800.0), ("1:00:00", 3600.0), ("2-00:00:00", 172800.0), ("1-12", 129600.0),
     ("1-12:30", 131400.0), ("infinite", float("inf")), ("n/a", float("inf"))],
)  # fmt: skip
def test_time_limits_of_slurm(text: str, seconds: float) -> None:
    assert time_limit_s(text) == seconds


@given(st.text())
def test_any_answer_can_be_read(text: str) -> None:
    assert time_limit_s(text) >= 0
    assert all(key and value for key, value in reservation_facts(text).items() if key)


def test_facts_of_a_reservation() -> None:
    line = "ReservationName=11001 StartTime=2026-11-30T11:34:57 Nodes=n[1-2] TRES=cpu=2 Users=bt01,bt02 Groups=(null) "
    facts = reservation_facts(line + "State=ACTIVE Watts=n/a MaxStartDelay=(null)\n")
    assert facts == {
        "ReservationName": "11001", "StartTime": "2026-11-30T11:34:57", "Nodes": "n[1-2]", "TRES": "cpu=2",
        "Users": "bt01,bt02", "State": "ACTIVE",
    }  # fmt: skip


def test_what_a_node_reports(tmp_path: Path) -> None:
    write_node_report(tmp_path / "report.h5", tmp_path / "raw")
    report = read_node_report(tmp_path / "report.h5")
    assert report.cores >= 1 and report.host and not report.raw_is_readable and report.free_bytes > 0
    (tmp_path / "other.h5").write_bytes(b"no HDF5")
    with pytest.raises(OSError):
        read_node_report(tmp_path / "other.h5")
