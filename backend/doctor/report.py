"""The page that ``mento-gui doctor`` prints, as text for people and as JSON for programs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from backend.doctor.examination import Check
from backend.doctor.finding import Finding, Outcome

_WORDS = {Outcome.GOOD: "ok", Outcome.NOTE: "note", Outcome.FAULT: "FAULT", Outcome.NOT_CHECKED: "-"}
_WIDTH = 110
_INDENT = " " * 8


def text_of(check: Check, finding: Finding) -> str:
    """A few lines on one check."""
    head = f"{_WORDS[finding.outcome]:<8}{check.name}: {finding.found}"
    parts = [head]
    if finding.means:
        parts.append(f"{_INDENT}Means: {finding.means}")
    if finding.try_this:
        parts.append(f"{_INDENT}Try: {finding.try_this}")
    return "\n".join(
        textwrap.fill(part, _WIDTH, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        for part in parts
    )


def summary_of(results: Sequence[tuple[Check, Finding]]) -> str:
    """The last line of the page."""
    count = Counter(finding.outcome for _, finding in results)
    said = f"{count[Outcome.GOOD]} in order, {count[Outcome.NOTE]} to know, {count[Outcome.FAULT]} at fault"
    if count[Outcome.NOT_CHECKED]:
        said = f"{said}, {count[Outcome.NOT_CHECKED]} not checked"
    return f"{said}. {'Jobs on the cluster will not work yet.' if is_at_fault(results) else 'Jobs can run.'}"


def is_at_fault(results: Sequence[tuple[Check, Finding]]) -> bool:
    """True when something keeps jobs from running."""
    return any(finding.outcome is Outcome.FAULT for _, finding in results)


def json_of(results: Sequence[tuple[Check, Finding]]) -> dict[str, Any]:
    """Everything, in plain values."""
    return {
        "good": not is_at_fault(results),
        "checks": [
            {
                "check": check.name,
                "outcome": finding.outcome.value,
                "found": finding.found,
                "means": finding.means,
                "try_this": finding.try_this,
            }
            for check, finding in results
        ],
    }
