"""The Markdown table of the docs from the JSON files of runs: ``python -m benchmarks.table *.json``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.comparison import Goal, Row

_HEAD = ("what", "case", "quantity", "median (range)", "to reach", "ours", "the other", "threads", "rounds")


def read_rows(files: Iterable[Path]) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows of all files in order, and the facts of the machine of each file."""
    rows: list[Row] = []
    machines: list[dict[str, Any]] = []
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        machines.append(content["machine"])
        for stored in content["rows"]:
            goal = stored.pop("goal")
            rows.append(Row(**stored, goal=None if goal is None else Goal(**goal)))
    return rows, machines


def markdown_table(rows: list[Row]) -> str:
    """One line per row; notes stand below, each once."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    lines += [_line(_cells(row, notes)) for row in rows]
    lines += ["", *(f"[{number}] {note}" for number, note in enumerate(notes, start=1))]
    return "\n".join(lines)


def _cells(row: Row, notes: list[str]) -> list[str]:
    mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
    value = f"**{_number(row.median)}** ({_number(row.low)} to {_number(row.high)})"
    goal = ""
    if row.goal is not None:
        verdict = "reached" if row.goal.reached(row.median) else "missed"
        goal = f"{row.goal.sense} {_number(row.goal.value)}: {verdict}"
    return [
        row.name, row.case + mark, row.quantity, value, goal, row.ours, row.other, str(row.threads), str(row.rounds)
    ]  # fmt: skip


def _number(value: float) -> str:
    return f"{value:.3g}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine(facts: dict[str, Any]) -> str:
    versions = {"python": facts["python"], **facts["versions"]}
    ours, peers = (
        ", ".join(f"{name} {number}" for name, number in found.items())
        for found in (versions, facts.get("peers", {}))
    )
    changed = " with uncommitted changes" if facts["uncommitted_changes"] else ""
    return (
        f"{facts['measured_at']}: {facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB, load "
        f"{facts['load_before']:.1f} before the run; commit {facts['commit'][:12]}{changed}; {ours}; peers: {peers}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    rows, machines = read_rows(parser.parse_args().files)
    print(markdown_table(rows))
    for facts in machines:
        print(f"\n{_machine(facts)}")


if __name__ == "__main__":
    main()
