"""Puts the cluster's executor together from the settings and the metadata of the beamtime."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from backend.beamtime.folder import BeamtimeFolder
from backend.beamtime.path_map import PathMap
from backend.cluster_plan import ClusterPlan, plan_cluster
from backend.cluster_settings import ClusterSettings
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.cluster_rules import ClusterRules
from backend.dispatch.copied_files import CopiedFiles
from backend.dispatch.copy_line import CopyLine
from backend.dispatch.data_sender import DataSender
from backend.dispatch.job_files import JobFiles, SharedFiles
from backend.dispatch.local_transport import LocalTransport
from backend.dispatch.result_fetcher import ResultFetcher
from backend.dispatch.scheduler import Scheduler
from backend.dispatch.slurm import SlurmScheduler
from backend.dispatch.slurm_rest import SlurmRestScheduler
from backend.dispatch.ssh_transport import SshTransport
from backend.dispatch.transport import Transport
from backend.errors import DispatchError
from backend.settings import Settings, settings_to_toml
from backend.whole_file import write_whole_text


def open_cluster(folder: BeamtimeFolder, all_settings: Settings, state_folder: Path) -> ClusterExecutor:
    """Executor for the cluster of a beamtime; nothing is connected or asked yet.

    The settings are kept in ``state_folder``, below the beamtime folder, with the paths in them as the nodes call them.

    Raises
    ------
    DispatchError
        Neither settings nor metadata say where it is, or with which account and key; or the settings cannot be kept.
    BeamtimeError
        The settings name a file that the nodes cannot see.
    """
    settings = all_settings.cluster
    plan = plan_cluster(folder, settings)
    rules = ClusterRules(
        python=plan.python,
        settings_file=_settings_for_nodes(all_settings, plan.paths, state_folder),
        setup=plan.setup,
        parallel_jobs=settings.parallel_jobs,
        poll_s=settings.poll_s,
        idle_poll_s=settings.idle_poll_s,
        unseen_s=settings.unseen_s,
        submit_attempts=settings.submit_attempts,
    )
    further = [
        file for file in (all_settings.mask.file, all_settings.correlation.frame_times) if file is not None
    ]
    transport = open_transport(plan)
    files = open_files(plan, transport, settings, further)
    return ClusterExecutor(open_scheduler(plan, transport), plan.paths, rules, files=files)


def open_transport(plan: ClusterPlan) -> Transport:
    """What runs Slurm's programs; nothing is connected yet."""
    return LocalTransport() if plan.address is None else SshTransport(plan.address)


def open_scheduler(plan: ClusterPlan, transport: Transport) -> Scheduler:
    """What takes the jobs: Slurm's programs over ``transport``, or slurmrestd.

    Raises
    ------
    DispatchError
        The address of slurmrestd cannot be used.
    """
    if plan.rest is not None:
        return SlurmRestScheduler(plan.rest, plan.options)
    return SlurmScheduler(transport, plan.options)


def open_files(
    plan: ClusterPlan, transport: Transport, settings: ClusterSettings, further: Sequence[Path] = ()
) -> JobFiles:
    """How the nodes come by the files of jobs; ``further`` are files that every job may read."""
    if not plan.copies or plan.address is None or not isinstance(transport, SshTransport):
        return SharedFiles()
    up, down = (
        CopyLine(SshTransport(plan.address), plan.paths, settings.copy_rate_mb_per_s * 1e6) for _ in range(2)
    )
    return CopiedFiles(transport, plan.paths, DataSender(up, further), ResultFetcher(down, settings.poll_s))


def _settings_for_nodes(settings: Settings, paths: PathMap, state_folder: Path) -> Path:
    def seen(file: Path | None) -> Path | None:
        return None if file is None else Path(paths.to_there(file))

    mask = settings.mask.model_copy(update={"file": seen(settings.mask.file)})
    times = settings.correlation.model_copy(update={"frame_times": seen(settings.correlation.frame_times)})
    text = settings_to_toml(settings.model_copy(update={"mask": mask, "correlation": times}))
    # A file is never changed: jobs that wait still read the one of their time.
    file = state_folder / f"settings-{hashlib.sha256(text.encode()).hexdigest()[:12]}.toml"
    if file.exists():
        # Its name is that of its text: nothing has to be written, and a full disk does no harm.
        return file
    try:
        write_whole_text(file, text)
    except OSError as error:
        raise DispatchError(
            f"The settings for jobs on the cluster cannot be kept in {file}: {error.strerror or error}.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Check that the processed folder may be written and has room.",
        ) from error
    return file
