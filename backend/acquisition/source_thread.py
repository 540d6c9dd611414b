"""Polls a source in a thread of its own and hands its events over through a bounded queue."""

from __future__ import annotations

import logging
import queue
import threading
import traceback

from backend.batch_pieces import part_of
from backend.frames import FrameBatch, Source, SourceEvent, SourceNotice

_QUEUED_EVENTS = 16
# Whoever takes events must be able to do something else in between; as many as the engine likes to have at once.
_FRAMES_AT_ONCE = 64
_IDLE_S = 0.05
_AFTER_FAULT_S = 1.0
_log = logging.getLogger(__name__)


class SourceThread:
    """Reading waits for the disk, the analysis for the processor: they meet here.

    A full queue makes the source wait; frames are never dropped.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._queue: queue.Queue[SourceEvent] = queue.Queue(_QUEUED_EVENTS)
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._rest: FrameBatch | None = None
        self._waiting_frames = 0
        self._count_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="acquisition", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling and wait for the thread; events that were not fetched are dropped."""
        self._stop.set()
        self._thread.join()

    @property
    def waiting_frames(self) -> int:
        """Frames that were read and not fetched yet."""
        return self._waiting_frames

    @property
    def exhausted(self) -> bool:
        """True when the source has ended and the queue is empty."""
        return self._ended.is_set() and self._queue.empty() and self._rest is None

    def next_event(self) -> SourceEvent | None:
        """The next event, or ``None`` when there is none yet; long batches come in pieces of a few frames."""
        event: SourceEvent | None = self._rest
        if event is None:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                return None
        self._rest = None
        if isinstance(event, FrameBatch) and len(event.chunks) > _FRAMES_AT_ONCE:
            event, self._rest = part_of(event, 0, _FRAMES_AT_ONCE), part_of(event, _FRAMES_AT_ONCE)
        self._count(event, -1)
        return event

    def _count(self, event: SourceEvent, sign: int) -> None:
        if isinstance(event, FrameBatch):
            with self._count_lock:
                self._waiting_frames += sign * len(event.chunks)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                events = self.source.poll()
                ended = self.source.finished
            except Exception as fault:  # noqa: BLE001 - the watch must outlive a fault nobody thought of; it is told
                _log.error("The acquisition stumbled:\n%s", traceback.format_exc())
                events, ended = [_fault_notice(fault)], False
                self._stop.wait(_AFTER_FAULT_S)
            for event in events:
                self._hand_over(event)
            if ended:
                break
            if not events:
                self._stop.wait(_IDLE_S)
        self._ended.set()

    def _hand_over(self, event: SourceEvent) -> None:
        self._count(event, +1)
        while not self._stop.is_set():
            try:
                self._queue.put(event, timeout=0.2)
            except queue.Full:
                continue
            return


def _fault_notice(fault: Exception) -> SourceNotice:
    return SourceNotice(
        key=f"acquisition-fault-{type(fault).__name__}",
        level="error",
        what=f"Looking for files failed unexpectedly: {type(fault).__name__}: {fault}.",
        still_works="The watch goes on.",
        try_this="If it repeats, send the log to the authors.",
    )
