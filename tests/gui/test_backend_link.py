from __future__ import annotations

import pytest
from example_snapshots import empty, example
from quiet_wire import QuietWire, SetClock

from backend.errors import BackendUnreachableError
from backend.requests import Ping, Reply
from mento_gui.backend_link import BackendLink


@pytest.fixture
def heard(link: BackendLink) -> dict[str, list]:
    heard: dict[str, list] = {"snapshots": [], "lost": [], "replies": [], "errors": []}
    link.snapshot_changed.connect(lambda snapshot, at: heard["snapshots"].append((snapshot.sequence, at)))
    link.lost.connect(heard["lost"].append)
    link.replied.connect(lambda request, reply: heard["replies"].append((request, reply)))
    link.failed.connect(heard["errors"].append)
    return heard


def test_a_snapshot_is_handed_on_with_its_arrival(
    link: BackendLink, wire: QuietWire, clock: SetClock, heard
) -> None:
    wire.newest = empty()
    clock.advance(0.4)
    link.poll()
    link.poll()
    assert heard["snapshots"] == [(1, clock())]


def test_silence_is_announced_after_two_seconds_and_ends_with_the_next_snapshot(
    link: BackendLink, wire: QuietWire, clock: SetClock, heard
) -> None:
    wire.newest = empty()
    link.poll()
    clock.advance(1.9)
    link.poll()
    assert heard["lost"] == []
    clock.advance(0.2)
    link.poll()
    assert heard["lost"] == [pytest.approx(2.1)]
    wire.newest = example()
    link.poll()
    link.poll()
    assert len(heard["lost"]) == 1
    assert len(heard["snapshots"]) == 2


def test_a_backend_that_never_speaks_is_lost_too(link: BackendLink, clock: SetClock, heard) -> None:
    link.start()
    clock.advance(2.5)
    link.poll()
    link.stop()
    assert heard["lost"] == [pytest.approx(2.5)]


def test_the_timer_polls_and_stops(qtbot, link: BackendLink, wire: QuietWire, heard) -> None:
    wire.newest = empty()
    link.start()
    qtbot.waitUntil(lambda: len(heard["snapshots"]) == 1, timeout=2000)
    link.stop()
    assert wire.closed


def test_a_reply_comes_with_its_request(link: BackendLink, wire: QuietWire, heard) -> None:
    link.send(Ping())
    wire.answers = [(1, Reply(ok=True)), (99, Reply(ok=False))]
    link.poll()
    assert heard["replies"] == [(Ping(), Reply(ok=True))]


def test_an_error_of_the_wire_is_announced_and_counts_as_silence(
    link: BackendLink, wire: QuietWire, clock: SetClock, heard, caplog: pytest.LogCaptureFixture
) -> None:
    wire.refusal = BackendUnreachableError("The backend speaks another version.")
    link.send(Ping())
    clock.advance(3)
    link.poll()
    link.poll()
    assert caplog.text.count("another version") == 1
    assert [error.what for error in heard["errors"]] == ["The backend speaks another version."] * 2
    assert heard["lost"] == [pytest.approx(3.0)] * 2
