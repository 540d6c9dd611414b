"""Settings of a backend whose cluster is the one that the tests start."""

from __future__ import annotations

import os
from pathlib import Path

from program import Program
from slurm_over_ssh import SlurmOverSsh

from backend.kernel_cache import NUMBA_FOLDER


def cluster_settings_file(program: Program, cluster: SlurmOverSsh) -> Path:
    """Settings for the cluster; its nodes know the beamtime folder by another name."""
    on_node = program.folder / "on-node"
    on_node.symlink_to(program.root / "current")
    kernels = os.environ.get(NUMBA_FOLDER)
    setup = [] if kernels is None else [f"export {NUMBA_FOLDER}={kernels}"]
    lines = [
        "[rings]",
        "count = 10",
        "[cluster]",
        'host = "127.0.0.1"',
        f"port = {cluster.port}",
        f'user = "{cluster.user}"',
        f'key_file = "{cluster.key_file}"',
        f'known_hosts = "{cluster.known_hosts}"',
        f'beamtime_folder = "{on_node}"',
        f"setup = {setup}",
        "poll_s = 0.5",
    ]
    file = program.folder / "settings.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file
