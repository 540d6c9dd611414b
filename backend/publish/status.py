"""The snapshot without its arrays, for ``mento-gui status``, the status file and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from backend.snapshot import Snapshot
from backend.whole_file import write_whole_text


def status_of(snapshot: Snapshot) -> dict[str, Any]:
    """State, verdict, runs, jobs and messages as plain JSON types; fits per ring, no images."""
    status: dict[str, Any] = {
        name: msgspec.to_builtins(getattr(snapshot, name))
        for name in (
            "schema",
            "sequence",
            "produced_at",
            "backend",
            "verdict",
            "series",
            "runs",
            "jobs",
            "recipes",
            "messages",
            "missing",
            "spot",
            "sample",
        )
    }
    if snapshot.g2 is not None:
        status["q_inv_nm"] = snapshot.g2.q_inv_nm.tolist()
        status["fits"] = msgspec.to_builtins(snapshot.g2.fits)
        status["fit_reasons"] = list(snapshot.g2.fit_reasons)
        status["rate_law"] = msgspec.to_builtins(snapshot.g2.rate_law)
    return status


def status_json(snapshot: Snapshot) -> bytes:
    """:func:`status_of` as JSON bytes."""
    return msgspec.json.encode(status_of(snapshot))


def write_status_file(path: Path, snapshot: Snapshot) -> None:
    """Replace ``path`` by the current status in one step, so a reader never sees half a file.

    Raises
    ------
    OSError
        The folder is gone or full; the caller says so and goes on.
    """
    write_whole_text(path, msgspec.json.format(status_json(snapshot), indent=1).decode())
