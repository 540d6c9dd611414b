"""Settings of the cluster; what is left empty follows from the metadata of the beamtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from backend.settings_section import SettingsSection, setting


class ClusterSettings(SettingsSection):
    """Where jobs of recipes with ``executor = "slurm"`` run. Empty fields follow from the beamtime's metadata."""

    transport: Literal["ssh", "local"] = setting(
        "ssh", "How Slurm's programs are reached: over SSH, or on this computer."
    )
    host: str | None = setting(
        None, "Host to log in at; left empty it is the first reserved node of the beamtime.", min_length=1
    )
    port: int = setting(22, "Its port for SSH.", ge=1, le=65535)
    user: str | None = setting(
        None, "Account to log in with; left empty it is that of the beamtime.", min_length=1
    )
    key_file: Path | None = setting(
        None, "Private key that no other account may read; left empty it is that of the beamtime."
    )
    known_hosts: Path | None = setting(
        None, "File of approved host keys (mento-gui trust); left empty it is that of the own account."
    )
    jump_host: str | None = setting(
        None,
        "Host to go through where the other cannot be reached directly; left empty there is none.",
        min_length=1,
    )
    jump_port: int = setting(22, "Its port for SSH.", ge=1, le=65535)
    jump_user: str | None = setting(
        None, "Account to log in with there; left empty it is the same as at the host.", min_length=1
    )
    jump_key_file: Path | None = setting(
        None, "Private key for the jump host; left empty it is the same as for the host."
    )
    partition: str | None = setting(
        None, "Slurm partition; left empty it is that of the beamtime.", min_length=1
    )
    reservation: str | None = setting(
        None, "Slurm reservation; left empty it is that of the beamtime.", min_length=1
    )
    sbatch_options: tuple[str, ...] = setting(
        (), "Further options of sbatch, one per entry, for instance --cpus-per-task=16."
    )
    rest_url: str | None = setting(
        None,
        "Address of slurmrestd without its version, for staff with a token; left empty Slurm's programs are used.",
        min_length=1,
    )
    rest_version: Literal["v0.0.38", "v0.0.39", "v0.0.40", "v0.0.41", "v0.0.42", "v0.0.43", "v0.0.44"] = (
        setting("v0.0.38", "Version of its interface.")
    )
    token_file: Path | None = setting(
        None,
        "File with the token for slurmrestd that no other account may read; read anew for each question.",
    )
    slurm_folder: Path = setting(
        Path("/usr/bin"), "Where sbatch, squeue, scontrol and scancel are on the host."
    )
    files: Literal["shared", "copy"] = setting(
        "shared",
        "Whether the nodes see the beamtime folder, or what jobs read is copied to them (over SSH) and results back.",
    )
    copy_rate_mb_per_s: float = setting(
        200.0, "Highest rate of copying in either direction.", unit="MB/s", gt=0, le=10_000
    )
    beamtime_folder: Path | None = setting(
        None,
        "The beamtime folder as the nodes call it; left empty it is /beamline/<beamline>/current (or commissioning), "
        "for copies the folder mento-gui in scratch_cc of the beamtime on the core file system.",
    )
    python: Path | None = setting(
        None, "Python on the nodes that has mento-gui; left empty it has the same path as here."
    )
    setup: tuple[str, ...] = setting(
        (), "Lines of shell that each job starts with, for instance: module load maxwell."
    )
    parallel_jobs: int = setting(50, "Jobs that may wait and run there at once.", unit="jobs", ge=1, le=1000)
    poll_s: float = setting(
        5.0, "How often the queue is looked at while something changes in it.", unit="s", ge=0.5, le=60
    )
    idle_poll_s: float = setting(
        60.0, "How often the queue is looked at, at least, while jobs wait there.", unit="s", ge=0.5, le=600
    )
    unseen_s: float = setting(
        60.0,
        "A job whose hand-over got no answer, or that Slurm has forgotten, is handed over again after this long.",
        unit="s",
        ge=1,
        le=3600,
    )
    submit_attempts: int = setting(
        5, "A job that Slurm refused so often is parked until a person resumes it.", ge=1, le=100
    )
