"""The beamtime folder under both its names: what is written on one side, when it is seen on the other."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from backend.beamtime.path_map import map_to_core
from backend.dispatch.job import sync_folder
from backend.doctor.beamtime_checks import room_finding
from backend.doctor.copy_checks import copy_there_and_back
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note
from backend.errors import DispatchError

_SEEN_WITHIN_S = 30.0
_SLOW_S = 5.0
_LOOK_S = 0.1
_WRITE = (
    'umask 007; printf %s "$2" >"$1.part" && ln "$1.part" "$1.claim" && mv "$1.part" "$1" && stat -c %a "$1"'
)
_ROOM = 'df -Pk "$1" | tail -n 1; command -v quota >/dev/null && quota -w; true'


def _to_cluster(seen: Examination) -> Finding:
    if seen.plan.copies:
        return copy_there_and_back(seen)
    file = seen.work_folder / "from-here"
    there = seen.plan.paths.to_there(file)
    text = uuid.uuid4().hex
    file.write_text(text, encoding="ascii")
    sync_folder(file.parent)
    lag_s = _lag_s(lambda: seen.cluster.run(["/bin/cat", str(there)]).output == text)
    if lag_s is None:
        return fault(
            f"A file written to {file.parent} was not seen there as {there} within {_SEEN_WITHIN_S:g} s.",
            "Jobs would not find their series.",
            "Check beamtime_folder in section [cluster] of the settings, and that the nodes have the beamline's file "
            'system; where they cannot have it, write files = "copy" there.',
        )
    raw = seen.plan.paths.to_there(seen.folder.raw)
    if seen.cluster.run(["/bin/ls", str(raw)]).exit_code != 0:
        return fault(
            f"{raw} may not be read by {seen.account}.",
            "Jobs could not read the detector's files.",
            "Ask the beamline staff to admit this account to the beamtime's data.",
        )
    return _lag_finding(f"A file written here was seen as {there.parent} after {lag_s:.2f} s.", lag_s)


def _from_cluster(seen: Examination) -> Finding | None:
    if seen.plan.copies:
        return None
    file = seen.work_folder / "from-there"
    there = seen.plan.paths.to_there(file)
    text = uuid.uuid4().hex
    answer = seen.cluster.run(["/bin/sh", "-c", _WRITE, "sh", str(there), text])
    written = time.monotonic()
    if answer.exit_code != 0:
        return fault(
            f"{seen.account} cannot write, link and rename in {there.parent}: "
            f"{answer.error.strip() or answer.exit_code}.",
            "Jobs could not claim their work or store a result.",
            "Ask the beamline staff to let this account write in processed (same group as the backend's account).",
        )
    lag_s = _lag_s(lambda: file.exists() and file.read_text(encoding="ascii") == text, written)
    if lag_s is None:
        return fault(
            f"A file written there as {there} was not seen here within {_SEEN_WITHIN_S:g} s.",
            "Results of jobs would not be found here.",
            "Check that beamtime_folder in section [cluster] is the same folder as here.",
        )
    if int(answer.output.split()[-1], 8) & 0o002:
        return note(
            f"Files made there have mode {answer.output.split()[-1]}.", "Anybody there may change results."
        )
    return _lag_finding(f"A file written there was seen here after {lag_s:.2f} s.", lag_s)


def _lag_finding(words: str, lag_s: float) -> Finding:
    if lag_s > _SLOW_S:
        return note(words, "Jobs see new files, and the table their results, so much later.")
    return good(words)


def _lag_s(is_seen: Callable[[], bool], since: float | None = None) -> float | None:
    """Seconds until something is seen; ``None`` when it is not."""
    began = time.monotonic() if since is None else since
    pause = threading.Event()
    while True:
        try:
            if is_seen():
                return time.monotonic() - began
        except OSError:
            # Between two file systems a name may come before what it stands for.
            pass
        if time.monotonic() - began > _SEEN_WITHIN_S:
            return None
        pause.wait(_LOOK_S)


def _room_there(seen: Examination) -> Finding:
    there = seen.plan.paths.to_there(seen.work_folder)
    answer = seen.cluster.run(["/bin/sh", "-c", _ROOM, "sh", str(there)])
    first, _, quota = answer.output.partition("\n")
    fields = first.split()
    if answer.exit_code != 0 or len(fields) < 6 or not (fields[1] + fields[3]).isdigit():
        raise DispatchError(
            f"The free space of {there} cannot be told: {answer.error.strip() or first}.",
            still_works="Jobs may run all the same.",
            try_this="Look with df on the cluster.",
        )
    # A star marks what is above its limit.
    above = [line.split()[0] for line in quota.splitlines() if "*" in line]
    if above:
        return fault(
            f"{seen.account} is above its quota on {', '.join(above)}.",
            "Results will not find room.",
            "Free space there, or ask for a larger quota.",
        )
    return room_finding(float(fields[3]) * 1024, float(fields[1]) * 1024, "Results of jobs")


def _core_copy(seen: Examination) -> Finding | None:
    beamtime = seen.beamtime
    if beamtime is None or beamtime.core_path is None:
        return None
    core = map_to_core(seen.folder.path, beamtime.core_path).to_there(seen.folder.raw)
    if seen.cluster.run(["/bin/ls", str(core)]).exit_code != 0:
        return note(f"The core file system's copy {core} is not seen there.", "Jobs do not need it.")
    return good(f"The core file system's copy is there as {core}; its newest files come some minutes late.")


FILE_CHECKS = (
    Check("files, here to cluster", ("log-in", "writing"), _to_cluster, over_shell=True),
    Check("files, cluster to here", ("files, here to cluster",), _from_cluster, over_shell=True),
    Check("disk and quota there", ("files, here to cluster",), _room_there, over_shell=True),
    Check("copy on the core file system", ("log-in",), _core_copy, over_shell=True),
)
