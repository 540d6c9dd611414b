"""The wire: real sockets in a temporary folder, newest snapshot only, every request answered."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from backend.errors import BackendUnreachableError, DispatchError
from backend.publish.client import BackendClient, is_backend_alive
from backend.publish.endpoint import endpoint_of, make_private
from backend.publish.server import SnapshotServer
from backend.publish.status import status_json, write_status_file
from backend.requests import AnyRequest, GetStatus, Ping, Reply, SelectRing
from backend.snapshot import BackendPart, Snapshot, Verdict, VerdictState
from backend.snapshot_bytes import encode_snapshot

BACKEND = BackendPart(
    version="0", host="here", pid=1, root="/", beamtime_id="", beamtime_title="", watching="/", waiting_for="x",
    phase="waiting", started_at=0.0,
)  # fmt: skip


def _snapshot(sequence: int) -> Snapshot:
    verdict = Verdict(state=VerdictState.IDLE, why="Nothing yet.", do="Wait.")
    return Snapshot(sequence=sequence, produced_at=0.0, backend=BACKEND, verdict=verdict)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    make_private(endpoint_of(tmp_path))
    return tmp_path


@pytest.fixture
def server(root: Path) -> Iterator[SnapshotServer]:
    server = SnapshotServer(endpoint_of(root))
    yield server
    server.close()


@pytest.fixture
def client(root: Path) -> Iterator[BackendClient]:
    client = BackendClient(root)
    yield client
    client.close()


def _until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Try again until it holds; the pause only saves processor time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        pause.wait(0.005)


def _answer_until(
    server: SnapshotServer, handle: Callable[[AnyRequest], Reply], done: Callable[[], object]
) -> None:
    def turn() -> object:
        server.answer_requests(handle, wait_s=0.02)
        return done()

    _until(turn)


def _ask(
    server: SnapshotServer, client: BackendClient, request: AnyRequest, handle: Callable[..., Reply]
) -> Reply:
    number = client.send(request)
    arrived: list[tuple[int, Reply]] = []
    _answer_until(server, handle, lambda: arrived.extend(client.replies()) or arrived)
    assert [answered for answered, _ in arrived] == [number]
    return arrived[0][1]


def _connected(server: SnapshotServer, client: BackendClient) -> None:
    """Publish until the client has heard something: a subscription takes a moment to arrive."""

    def heard() -> bool:
        server.publish(_snapshot(0))
        return client.latest() is not None

    _until(heard)


def test_a_slow_client_gets_the_newest_snapshot_only(
    server: SnapshotServer, root: Path, client: BackendClient
) -> None:
    fast = BackendClient(root)
    try:
        _connected(server, client)
        _connected(server, fast)
        for sequence in range(1, 51):

            def heard(sequence: int = sequence) -> bool:
                server.publish(_snapshot(sequence))
                snapshot = fast.latest()
                return snapshot is not None and snapshot.sequence == sequence

            _until(heard)
    finally:
        fast.close()
    seen: list[int] = []

    def newest() -> bool:
        snapshot = client.latest()
        if snapshot is not None:
            seen.append(snapshot.sequence)
        server.publish(_snapshot(51))
        return bool(seen) and seen[-1] == 51

    _until(newest)
    assert seen[0] >= 45
    assert seen == sorted(seen)


def test_what_was_seen_is_not_returned_twice(server: SnapshotServer, client: BackendClient) -> None:
    _connected(server, client)
    _until(lambda: client.latest() is None)


def test_publishing_without_a_listener_never_blocks(server: SnapshotServer) -> None:
    for sequence in range(5000):
        server.publish(_snapshot(sequence))


def test_each_request_gets_the_reply_to_its_own_number(server: SnapshotServer, client: BackendClient) -> None:
    def handle(request: AnyRequest) -> Reply:
        assert isinstance(request, SelectRing)
        return Reply(ok=True, payload=bytes([request.ring]))

    numbers = [client.send(SelectRing(ring=ring)) for ring in range(10)]
    arrived: dict[int, Reply] = {}
    _answer_until(server, handle, lambda: arrived.update(client.replies()) or len(arrived) == 10)
    assert [arrived[number].payload for number in numbers] == [bytes([ring]) for ring in range(10)]


def test_two_clients_do_not_get_each_others_replies(
    server: SnapshotServer, root: Path, client: BackendClient
) -> None:
    other = BackendClient(root)
    try:
        mine, theirs = client.send(SelectRing(ring=1)), other.send(SelectRing(ring=2))
        got: list[tuple[int, Reply]] = []
        their: list[tuple[int, Reply]] = []

        def handle(request: AnyRequest) -> Reply:
            return Reply(ok=True, message=f"ring {request.ring}" if isinstance(request, SelectRing) else "")

        def both() -> bool:
            got.extend(client.replies())
            their.extend(other.replies())
            return bool(got and their)

        _answer_until(server, handle, both)
        assert [(number, reply.message) for number, reply in got] == [(mine, "ring 1")]
        assert [(number, reply.message) for number, reply in their] == [(theirs, "ring 2")]
    finally:
        other.close()


def test_a_refused_request_is_answered_with_the_reason(server: SnapshotServer, client: BackendClient) -> None:
    def refuse(_: AnyRequest) -> Reply:
        raise DispatchError("There is no recipe of this name.", try_this="Choose another.")

    reply = _ask(server, client, Ping(), refuse)
    assert reply == Reply(ok=False, message="There is no recipe of this name.", try_this="Choose another.")


@pytest.fixture
def raw_dealer(root: Path) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint_of(root).requests)
    yield socket
    socket.close()
    context.term()


def _must_not_be_handled(request: AnyRequest) -> Reply:
    pytest.fail(f"{request} was taken for a request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xc1",
        b"\x91" * 50_000,
        msgspec.msgpack.encode({"request": "format-the-disk"}),
        msgspec.msgpack.encode({"request": "select-ring", "ring": "first"}),
        msgspec.msgpack.encode({"request": "select-ring"}),
        msgspec.msgpack.encode(["ping"]),
        os.urandom(1000),
    ],
    ids=["empty", "text", "reserved", "nested", "unknown kind", "wrong type", "left out", "list", "random"],
)
def test_garbage_is_answered_in_words(
    server: SnapshotServer, raw_dealer: zmq.Socket[bytes], body: bytes
) -> None:
    raw_dealer.send_multipart([b"number 1", body])
    _answer_until(server, _must_not_be_handled, lambda: raw_dealer.poll(0))
    number, answer = raw_dealer.recv_multipart()
    reply = msgspec.msgpack.decode(answer, type=Reply)
    assert (number, reply.ok) == (b"number 1", False)
    assert reply.message.startswith("The backend does not understand this request")
    assert reply.try_this


def test_messages_of_the_wrong_form_are_passed_over(
    server: SnapshotServer, raw_dealer: zmq.Socket[bytes], client: BackendClient
) -> None:
    raw_dealer.send_multipart([b"alone"])
    raw_dealer.send_multipart([b"one", b"two", b"three"])
    assert _ask(server, client, Ping(), lambda _: Reply(ok=True)).ok
    assert raw_dealer.poll(0) == 0


def test_an_oversized_request_is_refused_and_the_server_goes_on(
    server: SnapshotServer, raw_dealer: zmq.Socket[bytes], client: BackendClient
) -> None:
    raw_dealer.send_multipart([b"number 1", bytes(1_000_000)])
    assert _ask(server, client, Ping(), lambda _: Reply(ok=True)).ok
    server.answer_requests(_must_not_be_handled, wait_s=0.1)
    assert raw_dealer.poll(0) == 0


def test_the_client_survives_a_restart_of_the_backend(root: Path, client: BackendClient) -> None:
    for _ in range(2):
        server = SnapshotServer(endpoint_of(root))
        try:
            _connected(server, client)
            assert _ask(server, client, Ping(), lambda _: Reply(ok=True)).ok
        finally:
            server.close()
        assert not endpoint_of(root).exists


def test_the_socket_files_of_a_dead_backend_are_reused(root: Path, client: BackendClient) -> None:
    for name in ("snapshots", "requests"):
        (endpoint_of(root).folder / name).touch()
    assert not is_backend_alive(root, timeout_s=0.1)
    server = SnapshotServer(endpoint_of(root))
    try:
        assert _ask(server, client, Ping(), lambda _: Reply(ok=True)).ok
    finally:
        server.close()


def test_nobody_there_is_said_in_words(root: Path, client: BackendClient) -> None:
    assert not is_backend_alive(root)
    with pytest.raises(BackendUnreachableError, match="No backend answered within 0.1 s"):
        client.ask(GetStatus(), timeout_s=0.1)


def test_a_path_too_long_for_a_socket_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    endpoint = endpoint_of(tmp_path)
    make_private(endpoint)
    with pytest.raises(BackendUnreachableError, match="cannot listen") as caught:
        SnapshotServer(endpoint)
    assert "short path" in caught.value.try_this


@pytest.mark.parametrize("body", [b"garbage", b"", encode_snapshot(_snapshot(1))[:-3]])
def test_a_snapshot_that_cannot_be_read_is_told_as_another_version(root: Path, body: bytes) -> None:
    context = zmq.Context()
    publisher = context.socket(zmq.PUB)
    publisher.bind(endpoint_of(root).snapshots)
    client = BackendClient(root)
    try:
        said: list[BackendUnreachableError] = []

        def refused() -> bool:
            publisher.send(body)
            try:
                client.latest()
            except BackendUnreachableError as error:
                said.append(error)
            return bool(said)

        _until(refused)
        assert said[0].what.startswith("The backend speaks another version")
    finally:
        client.close()
        publisher.close(linger=0)
        context.term()


def test_the_status_has_words_and_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status_file(path, _snapshot(3))
    write_status_file(path, _snapshot(4))
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
    status = msgspec.json.decode(path.read_bytes())
    assert status == msgspec.json.decode(status_json(_snapshot(4)))
    assert (status["sequence"], status["verdict"]["state"], status["series"]) == (4, "IDLE", None)
    with pytest.raises(OSError, match="No such file"):
        write_status_file(tmp_path / "gone" / "status.json", _snapshot(5))
