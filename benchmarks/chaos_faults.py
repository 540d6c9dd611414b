"""What goes wrong on purpose: each fault does its harm, lets it last, and mends what a person would have to mend."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from backend.dispatch.job import DONE_FILE, INTENT_FILE, DoneRecord, read_record
from backend.dispatch.process_identity import JOB_MARK, processes_marked
from benchmarks.chaos_stage import Stage

_LOOK_S = 0.02
_Thing = TypeVar("_Thing")
_NODES = ("n1", "n2")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that was done: what, from when to when (seconds since 1970), and to which job if to one."""

    what: str
    began_at: float
    ended_at: float
    job_id: str = ""


@dataclass
class FaultMaker:
    """Breaks one thing after the other until it is told to stop; the same seed chooses the same faults.

    Attributes
    ----------
    done : list of Fault
        What was done so far.
    """

    stage: Stage
    chance: random.Random
    pause_s: float
    done: list[Fault] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._kinds: dict[str, tuple[int, Callable[[], str | None]]] = {
            "backend killed": (3, self._kill_backend),
            "window killed": (2, self._kill_window),
            "SSH connection killed": (3, self._kill_connections),
            "sshd killed": (2, self._kill_ssh_server),
            "slurmctld killed": (2, self._kill_controller),
            "slurmctld killed within 1 s of a submit": (3, self._kill_controller_at_submit),
            "slurmd killed": (2, self._kill_node),
            "job's command killed": (3, self._kill_command),
            "job's wrapper killed": (2, self._kill_wrapper),
            "link cut for 10 s": (2, self._cut_link),
            "result truncated": (3, self._truncate_result),
        }
        if self.stage.has_small_disk:
            self._kinds["result disk full"] = (3, self._fill_disk)

    def run(self) -> None:
        """Make trouble in the calling thread; every kind once before any comes again at random."""
        first = list(self._kinds)
        self.chance.shuffle(first)
        while not self._stop.wait(self.chance.expovariate(1 / self.pause_s)):
            weights = [weight for weight, _ in self._kinds.values()]
            what = first.pop() if first else self.chance.choices(list(self._kinds), weights)[0]
            began_at = time.time()
            job_id = self._kinds[what][1]()
            self.stage.put_nodes_back()
            if job_id is not None:
                self.done.append(Fault(what, began_at, time.time(), job_id))

    def stop(self) -> None:
        """No further fault; one that is under way is mended first."""
        self._stop.set()

    def _last(self, shortest_s: float, longest_s: float) -> None:
        # How long the damage lasts is a part of the damage.
        time.sleep(self.chance.uniform(shortest_s, longest_s))

    def _kill_backend(self) -> str | None:
        pids = self.stage.backend_pids
        return "" if [_kill(pid) for pid in pids] else None

    def _kill_window(self) -> str | None:
        window = self.stage.window
        if window is None:
            return None
        _kill(window.pid)
        window.process.wait()
        self._last(0.0, 3.0)
        self.stage.start_window()
        return ""

    def _kill_connections(self) -> str | None:
        return "" if self.stage.cluster.ssh.kill_connections() else None

    def _kill_ssh_server(self) -> str | None:
        self.stage.cluster.ssh.kill_connections()
        self.stage.cluster.ssh.kill()
        self._last(1.0, 8.0)
        self.stage.cluster.ssh.start()
        return ""

    def _kill_controller(self) -> str | None:
        self.stage.cluster.kill_controller()
        self._last(0.5, 8.0)
        self.stage.cluster.start_controller()
        return ""

    def _kill_controller_at_submit(self) -> str | None:
        known = set(self._job_files(INTENT_FILE))
        new = self._await(lambda: set(self._job_files(INTENT_FILE)) - known)
        if not new:
            return None
        self._last(0.0, 1.0)
        return self._kill_controller()

    def _kill_node(self) -> str | None:
        node = self.chance.choice(_NODES)
        self.stage.cluster.kill_node(node)
        # Beyond SlurmdTimeout, which is 10 s here, the node counts as lost.
        self._last(1.0, 25.0)
        self.stage.cluster.start_node(node)
        return ""

    def _kill_command(self) -> str | None:
        return self._kill_in_job(lambda command: "chaos_job.py" in command)

    def _kill_wrapper(self) -> str | None:
        return self._kill_in_job(lambda command: "backend.dispatch.run_job" in command)

    def _kill_in_job(self, is_meant: Callable[[str], bool]) -> str | None:
        def found() -> list[tuple[int, str]]:
            return [(pid, key) for pid, key, command in _job_processes(self.stage) if is_meant(command)]

        processes = self._await(found)
        if not processes:
            return None
        pid, job_id = self.chance.choice(processes)
        return job_id if _kill(pid) else None

    def _cut_link(self) -> str | None:
        self.stage.link.cut()
        time.sleep(10.0)
        self.stage.link.mend()
        return ""

    def _truncate_result(self) -> str | None:
        """Cut the result of a job the moment it says that it is done, as a broken file system would."""
        known = set(self._job_files(DONE_FILE))
        new = self._await(lambda: set(self._job_files(DONE_FILE)) - known)
        if not new:
            return None
        done = read_record(Path(self.chance.choice(sorted(new))), DoneRecord)
        if done is None or done.outcome != "done":
            return None
        os.truncate(done.result_path, self.chance.randrange(done.size_bytes or 1))
        return done.job_id

    def _fill_disk(self) -> str | None:
        if not self.stage.processed.is_mount():
            return None
        ballast = self.stage.processed / "ballast"
        try:
            with open(ballast, "wb", buffering=0) as file:
                while file.write(bytes(1 << 20)):
                    continue
        except OSError:
            # Full, as it should be.
            self._last(3.0, 8.0)
        ballast.unlink()
        return ""

    def _job_files(self, name: str) -> list[str]:
        return [str(path) for path in self.stage.processed.glob(f"onlineanalysis/*/*/.jobs/*/{name}")]

    def _await(self, found: Callable[[], Collection[_Thing]], within_s: float = 20.0) -> list[_Thing]:
        until = time.monotonic() + within_s
        while time.monotonic() < until and not self._stop.is_set():
            if things := found():
                return list(things)
            time.sleep(_LOOK_S)
        return []


def _job_processes(stage: Stage) -> list[tuple[int, str, str]]:
    found = []
    for diary in stage.diaries.iterdir():
        if "end" in diary.read_text(encoding="ascii"):
            continue
        for pid in processes_marked(JOB_MARK, diary.name):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
            found.append((pid, diary.name, command))
    return found


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It ended by itself just now.
        return False
    return True
