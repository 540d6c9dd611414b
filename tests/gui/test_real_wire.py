"""The link on the real wire: a sender in this process, ZeroMQ in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq
from example_snapshots import example

from backend.publish.client import BackendClient
from backend.publish.endpoint import endpoint_of, make_private
from backend.snapshot_bytes import encode_snapshot
from mento_gui.backend_link import BackendLink


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    endpoint = endpoint_of(tmp_path)
    make_private(endpoint)
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.bind(endpoint.snapshots)
    yield socket
    socket.close(linger=0)
    context.term()


def test_only_the_newest_of_two_hundred_snapshots_is_shown(
    qtbot, tmp_path: Path, publisher: zmq.Socket
) -> None:
    link = BackendLink(BackendClient(tmp_path))
    seen: list[int] = []
    link.snapshot_changed.connect(lambda snapshot, _at: seen.append(snapshot.sequence))
    first = encode_snapshot(example(frames=100, rings=2))
    link.start()

    def connected() -> bool:
        publisher.send(first)
        return bool(seen)

    qtbot.waitUntil(connected, timeout=5000)
    link._timer.stop()
    seen.clear()
    encoded = [encode_snapshot(example(frames=500 + number, rings=2)) for number in range(3)]
    last = encode_snapshot(example(frames=900, rings=2))
    for number in range(199):
        publisher.send(encoded[number % 3])
    publisher.send(last)

    def newest_arrived() -> bool:
        link.poll()
        return bool(seen) and seen[-1] == 900

    qtbot.waitUntil(newest_arrived, timeout=5000)
    assert len(seen) <= 5
    link.stop()
