"""Writes a file in one step, so that nobody ever reads half of one."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole_text(file: Path, text: str) -> None:
    """Make ``file`` hold this text, or leave it as it was; it keeps its rights.

    Raises
    ------
    OSError
        The folder is gone, full, or may not be written.
    """
    part = file.with_name(f".part-{os.getpid()}-{file.name}")
    try:
        part.write_text(text, encoding="utf-8")
        if file.exists():
            part.chmod(file.stat().st_mode)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
