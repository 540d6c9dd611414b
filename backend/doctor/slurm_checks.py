"""Slurm itself: its programs, the partition, and the reservation and for whom it is."""

from __future__ import annotations

import re
from collections import Counter

from backend.dispatch.transport import CommandResult
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note
from backend.errors import DispatchError

_PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
_ABSENT = 'for program; do [ -x "$program" ] || echo "$program"; done'
_READY = ("idle", "mixed", "reserved", "completing", "allocated")


def _slurm(seen: Examination) -> Finding:
    folder = seen.plan.options.programs
    absent = seen.cluster.run(["/bin/sh", "-c", _ABSENT, "sh", *(str(folder / name) for name in _PROGRAMS)])
    if absent.output.split():
        return fault(
            f"{seen.cluster.place} lacks {', '.join(absent.output.split())}.",
            "No job can be handed over there.",
            "Check slurm_folder and host in section [cluster] of the settings.",
        )
    version = _ask(seen, "sinfo", "--version").output.strip()
    ping = _ask(seen, "scontrol", "ping").output.strip()
    if not ping.endswith(" UP"):
        return fault(
            f"{version}; its controller does not answer: {ping}.",
            "Jobs wait until it is back; those that run go on.",
            "Ask the cluster's operators.",
        )
    return good(f"{version}, and its controller answers.")


def _partition(seen: Examination) -> Finding:
    name = seen.plan.options.partition
    chosen = [f"--partition={name}"] if name else []
    answer = _ask(seen, "sinfo", "--noheader", "--format=%P|%a|%l|%D|%T", *chosen)
    rows = [row for line in answer.output.splitlines() if len(row := line.strip().split("|")) == 5]
    if not name:
        # The cluster's own choice carries a star.
        rows = [row for row in rows if row[0].endswith("*")]
    if not rows:
        return fault(
            f"There is no partition {name}." if name else "The cluster has no default partition.",
            "Slurm will refuse every job.",
            "Correct partition in section [cluster] of the settings; sinfo lists them.",
        )
    nodes: Counter[str] = Counter()
    for _, _, _, count, state in rows:
        nodes[state.rstrip("*$~#!%@^-")] += int(count) if count.isdigit() else 0
    words = f"{rows[0][0].rstrip('*')} is {rows[0][1]}: " + ", ".join(f"{n} {s}" for s, n in nodes.items())
    words = f"{words}; longest job {rows[0][2]}."
    if rows[0][1] != "up" or not any(nodes[state] for state in _READY):
        return fault(words, "No job will start there now.", "Ask the cluster's operators.")
    limit_s, wanted_s = time_limit_s(rows[0][2]), seen.settings.dispatch.time_limit_s
    if limit_s < wanted_s:
        return note(
            words,
            f"Jobs may ask for {wanted_s:g} s (time_limit_s in section [dispatch]); such a job would never start.",
            "Lower it there, or write time_limit_s into the recipes.",
        )
    return good(words)


def time_limit_s(text: str) -> float:
    """Seconds of one of Slurm's time limits: ``infinite``, ``D-HH:MM:SS``, ``HH:MM:SS``, ``MM:SS``, or days and hours.

    What has another form is taken for no limit.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(?:(\d+):)?(\d+)", text.strip())
    if found is None:
        return float("inf")
    days = float(found[1] or 0) * 86400.0
    parts = [float(part) for part in text.strip().rpartition("-")[2].split(":")]
    # After days the first number is hours; otherwise the last one is seconds, and a lone one minutes.
    units = [3600.0, 60.0, 1.0]
    if found[1] is None:
        units = units[1:] if len(parts) == 1 else units[-len(parts) :]
    return days + sum(part * unit for part, unit in zip(parts, units, strict=False))


def _reservation(seen: Examination) -> Finding:
    name = seen.plan.options.reservation
    if not name:
        return note(
            "No reservation is set.",
            "Jobs wait in the general queue, together with everybody else's.",
            "Ask the beamline staff for online resources, or write reservation into section [cluster].",
        )
    answer = _run(seen, "scontrol", "show", "reservation", name, "--oneliner")
    facts = reservation_facts(answer.output)
    if answer.exit_code != 0 or facts.get("ReservationName") != name:
        return fault(
            f"Slurm knows no reservation {name}.",
            "It will refuse every job that asks for it.",
            "It may have ended or not been made yet: ask the beamline staff, or correct reservation in section "
            "[cluster] of the settings.",
        )
    words = f"{name} on {facts.get('Nodes', '?')} until {facts.get('EndTime', '?')}, for {_for_whom(facts)}"
    if facts.get("State") != "ACTIVE":
        return fault(
            f"{words}, is {facts.get('State', '?').lower()}; it starts {facts.get('StartTime', '?')}.",
            "Jobs wait until it is active.",
            "Ask the beamline staff when the beamtime's nodes are needed.",
        )
    if (admitted := _admits(facts, seen.account, seen.groups)) is False:
        return fault(
            f"{words}; {seen.account} is not among them.",
            "Slurm will refuse its jobs.",
            "Check user in section [cluster] of the settings, or ask the beamline staff.",
        )
    if admitted is None:
        return note(f"{words}.", f"Whether {seen.account} belongs there, the test job tells.")
    return good(f"{words}: active.")


def reservation_facts(output: str) -> dict[str, str]:
    """Named values of the first line of ``scontrol show reservation --oneliner``; without those that are empty."""
    first = output.strip().partition("\n")[0]
    pairs = (word.partition("=") for word in first.split())
    return {key: value for key, sign, value in pairs if sign and value not in ("", "(null)", "n/a")}


def _for_whom(facts: dict[str, str]) -> str:
    who = [f"{key.lower()} {facts[key]}" for key in ("Users", "Groups", "Accounts") if key in facts]
    return " and ".join(who) or "everybody"


def _admits(facts: dict[str, str], account: str, groups: tuple[str, ...]) -> bool | None:
    users = facts.get("Users", "").split(",") if "Users" in facts else []
    if f"-{account}" in users:
        return False
    if account in users or set(groups) & set(facts.get("Groups", "").split(",")):
        return True
    return None if "Accounts" in facts else not (users or "Groups" in facts)


def _run(seen: Examination, program: str, *arguments: str) -> CommandResult:
    return seen.cluster.run([str(seen.plan.options.programs / program), *arguments])


def _ask(seen: Examination, program: str, *arguments: str) -> CommandResult:
    answer = _run(seen, program, *arguments)
    if answer.exit_code != 0:
        raise DispatchError(
            f"Slurm's {program} on {seen.cluster.place} gave no answer: {answer.error.strip() or answer.exit_code}.",
            still_works="Live pictures, the verdict and local jobs go on; jobs on the cluster wait.",
            try_this="Ask the cluster's operators whether Slurm is up.",
        )
    return answer


SLURM_CHECKS = (
    Check("Slurm", ("log-in",), _slurm, over_shell=True),
    Check("partition", ("Slurm",), _partition, over_shell=True),
    Check("reservation", ("Slurm",), _reservation, over_shell=True),
)
