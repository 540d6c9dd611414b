"""The way to the cluster: private key, host keys, log-in, and the clock there."""

from __future__ import annotations

import stat
import time

from backend.cluster_access import open_transport
from backend.dispatch.host_keys import (
    check_private_key,
    fingerprint,
    host_entry,
    read_known_hosts,
)
from backend.dispatch.ssh_login import SshAddress, ask_host_key
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note
from backend.errors import DispatchError

_CLOCK_TRIES = 3
_CLOCK_NOTE_S = 5.0
_CLOCK_FAULT_S = 60.0


def _private_key(seen: Examination) -> Finding | None:
    address = seen.plan.address
    if address is None:
        return None
    files = dict.fromkeys(
        [address.key_file] if address.jump is None else [address.key_file, address.jump.key_file]
    )
    for file in files:
        check_private_key(file)
    modes = [f"{file}, mode {stat.S_IMODE(file.stat().st_mode):04o}" for file in files]
    return good(f"{'; '.join(modes)}: no other account may read it.")


def _jump_host(seen: Examination) -> Finding | None:
    address = seen.plan.address
    if address is None or address.jump is None:
        return None
    return _compare_host_key(address.jump, None)


def _host_key(seen: Examination) -> Finding | None:
    address = seen.plan.address
    if address is None:
        return None
    return _compare_host_key(address, address.jump)


def _compare_host_key(address: SshAddress, jump: SshAddress | None) -> Finding:
    name = host_entry(address.host, address.port)
    key = ask_host_key(address.host, address.port, jump)
    known = read_known_hosts(address.known_hosts)
    shown = f"{name} shows {fingerprint(key)} ({key.get_name()})"
    if known.check(name, key):
        return good(f"{shown}, which is approved.")
    approved = ", ".join(fingerprint(earlier) for earlier in (known.lookup(name) or {}).values())
    if approved:
        return fault(
            f"{shown}, approved is {approved}.",
            "Nothing is sent there: it may be another computer.",
            "Ask the people who run it whether its key was changed. If so, approve the new one: "
            f"{address.trust_command}",
        )
    return fault(
        f"{shown}; no key of it was ever approved.",
        "Nothing is sent there.",
        f"Compare the fingerprint with what the people who run it say: {address.trust_command}",
    )


def _login(seen: Examination) -> Finding:
    seen.transport = open_transport(seen.plan)
    began = time.monotonic()
    answer = seen.cluster.run(["/bin/sh", "-c", "id -un; id -Gn; hostname"])
    took_s = time.monotonic() - began
    lines = answer.output.splitlines()
    if answer.exit_code != 0 or len(lines) < 3:
        raise DispatchError(
            f"{seen.cluster.place} lets one in but runs no commands: {answer.error.strip() or answer.exit_code}.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Ask the people who run it about the account.",
        )
    # What a greeting of the shell prints comes first.
    account, groups, host = lines[-3:]
    seen.account, seen.groups = account, tuple(groups.split())
    return good(f"{account} on {host} (groups {groups}); the first answer took {took_s:.1f} s.")


def _clock(seen: Examination) -> Finding:
    best = (float("inf"), 0.0)
    for _ in range(_CLOCK_TRIES):
        before = time.time()
        answer = seen.cluster.run(["/bin/date", "+%s.%N"])
        after = time.time()
        if answer.exit_code == 0:
            # The cluster's clock was read at some moment in between.
            best = min(best, ((after - before) / 2, float(answer.output) - (before + after) / 2))
    uncertain_s, ahead_s = best
    if uncertain_s == float("inf"):
        return note("The clock of the cluster cannot be read.", "Times of jobs may be off.")
    words = f"The cluster's clock is {abs(ahead_s):.2f} s {'ahead of' if ahead_s > 0 else 'behind'} this one"
    now = time.time()
    words = f"{words}, to within {uncertain_s:.2f} s ({_moment(now + ahead_s)} there, {_moment(now)} here)."
    if abs(ahead_s) - uncertain_s > _CLOCK_FAULT_S:
        return fault(
            words,
            "Jobs run and are followed all the same, but times in their logs and files look wrong by this much.",
            "Ask the people who run the computer with the wrong clock for time synchronisation (NTP).",
        )
    if abs(ahead_s) - uncertain_s > _CLOCK_NOTE_S:
        return note(words, "Start and end of jobs look wrong by this much.", "Ask for time synchronisation.")
    return good(words)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


LOGIN_CHECKS = (
    Check("private key", ("cluster settings",), _private_key),
    Check("host key of the jump host", ("cluster settings",), _jump_host),
    Check("host key", ("cluster settings", "host key of the jump host"), _host_key),
    Check("log-in", ("private key", "host key"), _login, over_shell=True),
    Check("clock", ("log-in",), _clock, over_shell=True),
)
