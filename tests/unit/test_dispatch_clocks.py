"""Jobs whose clock goes differently: what they say of their times is moved as little as needed, and told."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.dispatch.clocks import ClockWatch, times_here

MOMENT = st.floats(1.7e9, 1.8e9)


@settings(deadline=None)
@given(MOMENT, st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(-1e6, 1e6))
def test_times_end_up_between_the_wish_and_now(
    asked: float, waited_s: float, ran_s: float, ago_s: float, ahead_s: float
) -> None:
    started, ended = asked + waited_s, asked + waited_s + ran_s
    now = ended + ago_s
    times = times_here(started + ahead_s, ended + ahead_s, asked, now)
    assert times.started_at is not None and times.ended_at is not None
    assert asked - 1e-3 <= times.started_at <= times.ended_at <= now + 1e-3
    assert abs(times.ended_at - times.started_at - ran_s) < 1e-3
    # Never said to be further off than it is, and never into the other direction.
    assert abs(times.ahead_s) <= abs(ahead_s) + 1e-3 and times.ahead_s * ahead_s >= 0


def test_a_right_clock_is_left_alone() -> None:
    assert times_here(110.0, 120.0, 100.0, 130.0) == (110.0, 120.0, 0.0)
    assert times_here(110.0, None, 100.0, 130.0) == (110.0, None, 0.0)
    assert times_here(None, None, 100.0, 130.0) == (None, None, 0.0)
    # It ended, by this computer's clock, before it began: nobody knows when.
    assert times_here(None, 125.0, 100.0, 130.0) == (None, 125.0, 0.0)


def test_both_times_are_told_and_taken_back() -> None:
    watch = ClockWatch()
    noon = time.mktime((2026, 11, 30, 12, 0, 0, 0, 0, -1))
    watch.note("slurm", "key-1", noon, -7300.0)
    (notice,) = watch.notices
    assert "2.0 h behind" in notice.what and "12:00:00 on 30 November for the job key-1" in notice.what
    assert "14:01:40 on 30 November here at the earliest" in notice.what
    watch.note("slurm", "key-2", noon, 90.0)
    (notice,) = watch.notices
    assert "90 s ahead of" in notice.what and "11:58:30 on 30 November here at the latest" in notice.what
    watch.note("slurm", "key-3", noon, -1.0)
    assert [notice.what for notice in watch.notices] == [""]
