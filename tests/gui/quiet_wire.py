"""A wire held in memory: the test puts snapshots and replies on it and reads the requests off it."""

from __future__ import annotations

from backend.errors import BackendUnreachableError
from backend.requests import AnyRequest, Reply
from backend.snapshot import Snapshot


class QuietWire:
    """Keeps only the newest snapshot, like the real one."""

    def __init__(self) -> None:
        self.newest: Snapshot | None = None
        self.sent: list[AnyRequest] = []
        self.answers: list[tuple[int, Reply]] = []
        self.refusal: BackendUnreachableError | None = None
        self.closed = False

    def latest(self) -> Snapshot | None:
        if self.refusal is not None:
            raise self.refusal
        newest, self.newest = self.newest, None
        return newest

    def send(self, request: AnyRequest) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(request)
        return len(self.sent)

    def replies(self) -> list[tuple[int, Reply]]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        self.closed = True


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
