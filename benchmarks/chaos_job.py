"""The analysis that the chaos bench runs: works for a moment, writes a real result, and leaves word of all it did.

``python chaos_job.py RESULT DIARIES TEMPLATE SECONDS``
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path


def main(result: Path, diaries: Path, template: Path, longest_s: float) -> None:
    """Copy the template in pieces over a while that depends on the job's key."""
    key = os.environ["MENTO_GUI_JOB"]
    _note(diaries / key, "begin")
    share = int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) / 0xFFFF
    until = time.monotonic() + share * longest_s
    with open(template, "rb") as source, open(result, "wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    # The work of an analysis; the processor is shared, so a moment of wall time is what counts.
    while time.monotonic() < until:
        hashlib.sha256(key.encode() * 1000).digest()
        time.sleep(0.01)
    _note(diaries / key, "end")


def _note(diary: Path, word: str) -> None:
    descriptor = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o660)
    try:
        os.write(descriptor, f"{word} {os.getpid()} {time.time():.3f}\n".encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
