"""Puts the cluster's executor together from the settings and the metadata of the beamtime."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path, PurePosixPath
from typing import TypeVar

from backend.beamtime.folder import BeamtimeFolder
from backend.beamtime.metadata import Beamtime, OnlineAnalysis, read_beamtime
from backend.beamtime.path_map import PathMap, map_to_node
from backend.cluster_settings import ClusterSettings
from backend.dispatch.cluster_executor import ClusterExecutor, ClusterRules
from backend.dispatch.host_keys import default_known_hosts
from backend.dispatch.local_transport import LocalTransport
from backend.dispatch.slurm import SlurmOptions, SlurmScheduler
from backend.dispatch.ssh_transport import SshAddress, SshTransport
from backend.dispatch.transport import Transport
from backend.errors import BeamtimeError, DispatchError
from backend.settings import Settings, settings_to_toml

_Value = TypeVar("_Value", str, Path)
_NO_CLUSTER = OnlineAnalysis((), None, None, None, None, None)


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
    try:
        beamtime = read_beamtime(folder.path)
    except BeamtimeError as error:
        # All that is needed may stand in the settings.
        beamtime, unread = None, f" ({error.what})"
    else:
        unread = ""
    reserved = (beamtime.online_analysis if beamtime else None) or _NO_CLUSTER
    scheduler = SlurmScheduler(
        _transport(settings, reserved, unread),
        SlurmOptions(
            programs=PurePosixPath(settings.slurm_folder),
            partition=settings.partition or reserved.partition or "",
            reservation=settings.reservation or reserved.reservation or "",
            further=settings.sbatch_options,
        ),
    )
    paths = _paths(folder, settings, beamtime, unread)
    rules = ClusterRules(
        python=str(settings.python) if settings.python else paths.argument_to_there(sys.executable),
        settings_file=_settings_for_nodes(all_settings, paths, state_folder),
        setup=settings.setup,
        parallel_jobs=settings.parallel_jobs,
        poll_s=settings.poll_s,
        unseen_s=settings.unseen_s,
        submit_attempts=settings.submit_attempts,
    )
    return ClusterExecutor(scheduler, paths, rules)


def _settings_for_nodes(settings: Settings, paths: PathMap, state_folder: Path) -> Path:
    def seen(file: Path | None) -> Path | None:
        return None if file is None else Path(paths.to_there(file))

    mask = settings.mask.model_copy(update={"file": seen(settings.mask.file)})
    times = settings.correlation.model_copy(update={"frame_times": seen(settings.correlation.frame_times)})
    text = settings_to_toml(settings.model_copy(update={"mask": mask, "correlation": times}))
    # A file is never changed: jobs that wait still read the one of their time.
    file = state_folder / f"settings-{hashlib.sha256(text.encode()).hexdigest()[:12]}.toml"
    part = file.with_name(f".part-{os.getpid()}-{file.name}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        raise DispatchError(
            f"The settings for jobs on the cluster cannot be kept in {file}: {error.strerror or error}.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Check that the processed folder may be written and has room.",
        ) from error
    return file


def _transport(settings: ClusterSettings, reserved: OnlineAnalysis, unread: str) -> Transport:
    if settings.transport == "local":
        return LocalTransport()
    nodes = reserved.reserved_nodes
    return SshTransport(
        SshAddress(
            host=_needed(settings.host or (nodes[0] if nodes else None), "host", unread),
            port=settings.port,
            user=_needed(settings.user or reserved.user_account, "user", unread),
            key_file=_needed(settings.key_file or reserved.private_key, "key_file", unread),
            known_hosts=settings.known_hosts or default_known_hosts(),
        )
    )


def _paths(
    folder: BeamtimeFolder, settings: ClusterSettings, beamtime: Beamtime | None, unread: str
) -> PathMap:
    here = folder.path.absolute()
    if settings.beamtime_folder is not None:
        return PathMap(PurePosixPath(here), PurePosixPath(settings.beamtime_folder))
    if settings.transport == "local":
        return PathMap(PurePosixPath(here), PurePosixPath(here))
    beamline = beamtime.beamline if beamtime else None
    return map_to_node(here, _needed(beamline, "beamtime_folder", unread))


def _needed(value: _Value | None, name: str, unread: str) -> _Value:
    if value is None:
        raise DispatchError(
            f"Recipes for the cluster cannot run: neither the metadata of the beamtime{unread} nor {name} in section "
            "[cluster] of the settings says where.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Ask the beamline staff to start the beamtime with online analysis, or fill in the section.",
        )
    return value
