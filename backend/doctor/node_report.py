"""What the test job of ``mento-gui doctor`` does on a node: ``python -m backend.doctor.node_report RESULT RAW``.

Loads what a correlation loads and writes an HDF5 file, as jobs do, with what it has seen.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py

_ATTRIBUTE = "node_report"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as a job sees it; ``clock`` in seconds since 1970, ``cores`` those that the job may use."""

    host: str
    clock: float
    cores: int
    raw_is_readable: bool
    free_bytes: int


def write_node_report(result: Path, raw: Path) -> None:
    """Write what is seen here into a new HDF5 file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    report = NodeReport(
        host=socket.gethostname(),
        clock=time.time(),
        cores=len(os.sched_getaffinity(0)),
        raw_is_readable=os.access(raw, os.R_OK | os.X_OK),
        free_bytes=shutil.disk_usage(result.parent).free,
    )
    with h5py.File(result, "x") as file:
        file.attrs[_ATTRIBUTE] = json.dumps(asdict(report))


def read_node_report(result: Path) -> NodeReport:
    """What a job has seen.

    Raises
    ------
    OSError, KeyError, ValueError, TypeError
        It is not such a file.
    """
    with h5py.File(result, "r", locking=False) as file:
        return NodeReport(**json.loads(file.attrs[_ATTRIBUTE]))


if __name__ == "__main__":
    # Loaded to see that it can be: decoder, kernels and result file are what jobs need on the nodes.
    import backend.full_correlation  # noqa: F401

    write_node_report(Path(sys.argv[1]), Path(sys.argv[2]))
