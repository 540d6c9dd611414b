"""What the chaos bench plays on: the real program, a real Slurm behind a real SSH server, a link, a small disk."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The cluster and the program of the system tests; they are modules of that folder, not of a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system"))

from program import Program, Started, program_in, wait_until
from recorded_detector import RecordedDetector, RecordedSeries
from slurm_over_ssh import NODES, SlurmOverSsh, running_cluster

from backend.dispatch.host_keys import approve_host
from backend.kernel_cache import NUMBA_FOLDER
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from benchmarks.chaos_link import CuttableLink

_SOURCES = Path(__file__).parents[1]
DISK_MB = 400
RETRIES = 4
TIME_LIMIT_S = 60
_JOB = Path(__file__).with_name("chaos_job.py")
_KNOWN_HOST = "127.0.0.1"


class Stage:
    """Everything that can be broken, and the series that are measured on it.

    Attributes
    ----------
    processed, diaries : Path
        Where results go (a small disk of its own if this account may mount one), and where jobs leave word.
    has_small_disk : bool
        True when the result disk can be filled without filling another one.
    """

    def __init__(
        self, program: Program, cluster: SlurmOverSsh, link: CuttableLink, recipes: int, work_s: float
    ) -> None:
        self.program = program
        self.cluster = cluster
        self.link = link
        self.beamtime = write_beamtime_skeleton(program.root)
        self.raw = self.beamtime / "raw"
        self.processed = self.beamtime / "processed"
        self.diaries = program.folder / "diaries"
        self.diaries.mkdir()
        self.template = program.folder / "template.h5"
        self.recipes = tuple(f"chaos-{number}" for number in range(1, recipes + 1))
        self.settings_file = program.folder / "settings.toml"
        self.window: Started | None = None
        self.has_small_disk = _mount_small_disk(self.processed)
        self._write_recipes(work_s)
        self._write_settings()

    def record_series(self, number: int, seed: int) -> list[RecordedSeries]:
        """Short series written beforehand; the result of one of them is what every job writes."""
        wanted = [argument for _ in range(number) for argument in ("--scenario", "stable")]
        recorded = self.program.folder / "recorded"
        self._run(
            "simulate", "--to", str(recorded), "--beamtime", *wanted, "--detector", "eiger500k", "--frames", "16",
            "--frames-per-file", "8", "--frame-time", "0.05", "--photons", "0.05", "--seed", str(seed),
        )  # fmt: skip
        folders = sorted((recorded / "current" / "raw").iterdir())
        series = [RecordedSeries(folder) for folder in folders]
        self._run("correlate", str(series[0].master), "--to", str(self.template))
        return series

    def measure(self, series: RecordedSeries) -> None:
        """The detector writes a series from its beginning to its end."""
        detector = RecordedDetector(self.raw, series)
        detector.begin()
        detector.finish()

    def start_window(self) -> None:
        """Open the window, which finds the backend or starts one."""
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
        arguments = ("--root", str(self.program.root), "--settings", str(self.settings_file))
        self.window = self.program.start(*arguments, environment=environment)

    def put_nodes_back(self) -> None:
        """What the people who run a cluster do: Slurm drains nodes after a controller that was killed reuses numbers.

        Nothing happens where no node is drained.
        """
        for node in NODES:
            self.cluster.slurm("scontrol", "update", f"nodename={node}", "state=resume")

    @property
    def backend_pids(self) -> list[int]:
        """The backend's process; none while it is dead."""
        return [pid for pid, command in self.program.living().items() if "--backend-only" in command]

    def _run(self, *arguments: str) -> None:
        started = self.program.run(*arguments, within_s=900.0)
        if started.process.returncode != 0:
            raise RuntimeError(f"mento-gui {arguments[0]}: {started.error}")

    def _write_recipes(self, work_s: float) -> None:
        command = ["{python}", str(_JOB), "{result}", str(self.diaries), str(self.template), str(work_s)]
        folder = self.beamtime / "shared" / "recipes"
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.recipes:
            lines = [
                f'name = "{name}"',
                'title = "Chaos"',
                'description = "Writes a result while things break."',
                f"command = {command}",
                'executor = "slurm"',
                f"retries = {RETRIES}",
                f"time_limit_s = {TIME_LIMIT_S}",
            ]
            (folder / f"{name}.toml").write_text("\n".join(lines), encoding="utf-8")

    def _write_settings(self) -> None:
        kernels = os.environ.get(NUMBA_FOLDER)
        setup = [f"export PYTHONPATH={shlex.quote(str(_SOURCES))}"]
        if kernels is not None:
            setup.append(f"export {NUMBA_FOLDER}={shlex.quote(kernels)}")
        lines = [
            "[watch]",
            'history = "all"',
            "[dispatch]",
            f"recipes_at_series_end = {list(self.recipes)}",
            "[cluster]",
            f'host = "{_KNOWN_HOST}"',
            f"port = {self.link.port}",
            f'user = "{self.cluster.user}"',
            f'key_file = "{self.cluster.key_file}"',
            f'known_hosts = "{self.cluster.known_hosts}"',
            f'beamtime_folder = "{self.beamtime}"',
            f"setup = {setup}",
            "poll_s = 1.0",
            "unseen_s = 10.0",
        ]
        self.settings_file.write_text("\n".join(lines), encoding="utf-8")


@contextmanager
def open_stage(folder: Path, recipes: int, work_s: float) -> Iterator[Stage]:
    """A stage for as long as the block lasts; every process and mount of it is gone afterwards."""
    with running_cluster() as cluster, program_in(folder) as program:
        link = CuttableLink(cluster.port)
        approve_host(cluster.known_hosts, _KNOWN_HOST, link.port, cluster.ssh.host_key)
        stage = Stage(program, cluster, link, recipes, work_s)
        try:
            yield stage
        finally:
            link.close()
            program.end_all()
            cluster.slurm("scancel", f"--user={cluster.user}")
            wait_until(lambda: not cluster.slurm("squeue", "-h", "-o", "%i"), 60.0, "no job runs any more")
            if stage.has_small_disk:
                # What a job that was killed leaves running may hold it for a moment.
                wait_until(lambda: _unmount(stage.processed), 60.0, "nobody uses the small disk any more")


def _mount_small_disk(folder: Path) -> bool:
    """A disk in memory in place of ``folder``; false where this account may not mount."""
    if os.geteuid() != 0:
        return False
    options = f"size={DISK_MB}m,mode=0770"
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], check=False).returncode
        == 0
    )


def _unmount(folder: Path) -> bool:
    return subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode == 0
