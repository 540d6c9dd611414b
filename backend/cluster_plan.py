"""Where the cluster of a beamtime is and how it is used: from the settings, and the metadata where they say nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from backend.beamtime.folder import BeamtimeFolder
from backend.beamtime.metadata import Beamtime, OnlineAnalysis, read_beamtime
from backend.beamtime.path_map import PathMap, map_to_node
from backend.cluster_settings import ClusterSettings
from backend.dispatch.host_keys import default_known_hosts
from backend.dispatch.rest_client import RestAddress
from backend.dispatch.slurm import SlurmOptions
from backend.dispatch.ssh_login import SshAddress
from backend.errors import BeamtimeError, DispatchError

_Value = TypeVar("_Value", str, Path)
_NO_CLUSTER = OnlineAnalysis((), None, None, None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """All that is needed to reach the cluster of a beamtime and to start jobs there; nothing was asked yet.

    Attributes
    ----------
    address : SshAddress or None
        Where to log in; ``None`` when Slurm's programs are on this computer, or nobody needs to.
    rest : RestAddress or None
        Where slurmrestd is, if it is asked instead of Slurm's programs.
    options : SlurmOptions
        Programs, partition, reservation.
    paths : PathMap
        From the beamtime folder here to the same folder on the nodes.
    copies : bool
        Whether what jobs read is copied to that folder, and results back.
    python : str
        Interpreter on the nodes.
    setup : tuple of str
        Lines of shell before each job.
    """

    address: SshAddress | None
    rest: RestAddress | None
    options: SlurmOptions
    paths: PathMap
    copies: bool
    python: str
    setup: tuple[str, ...]


def plan_cluster(folder: BeamtimeFolder, settings: ClusterSettings) -> ClusterPlan:
    """Plan for the cluster of a beamtime.

    Raises
    ------
    DispatchError
        Neither settings nor metadata say where it is, or with which account and key; or the settings contradict each
        other.
    """
    if settings.files == "copy" and settings.transport == "local":
        raise DispatchError(
            'In section [cluster] of the settings, files = "copy" needs transport = "ssh".',
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this='With transport = "local" the nodes see the files of this computer: write files = "shared".',
        )
    try:
        beamtime = read_beamtime(folder.path)
    except BeamtimeError as error:
        # All that is needed may stand in the settings.
        beamtime, unread = None, f" ({error.what})"
    else:
        unread = ""
    reserved = (beamtime.online_analysis if beamtime else None) or _NO_CLUSTER
    paths = _paths(folder, settings, beamtime, unread)
    rest = _rest_address(settings, reserved)
    needs_login = settings.transport == "ssh" and (rest is None or settings.files == "copy")
    return ClusterPlan(
        address=_address(settings, reserved, unread) if needs_login else None,
        rest=rest,
        options=SlurmOptions(
            programs=PurePosixPath(settings.slurm_folder),
            partition=settings.partition or reserved.partition or "",
            reservation=settings.reservation or reserved.reservation or "",
            further=settings.sbatch_options,
        ),
        paths=paths,
        copies=settings.files == "copy",
        python=str(settings.python) if settings.python else paths.argument_to_there(sys.executable),
        setup=settings.setup,
    )


def _rest_address(settings: ClusterSettings, reserved: OnlineAnalysis) -> RestAddress | None:
    if settings.rest_url is None:
        return None
    user = settings.user or reserved.user_account
    if settings.token_file is None or user is None or settings.sbatch_options:
        raise DispatchError(
            "In section [cluster] of the settings, rest_url needs token_file and user, and it cannot be used together "
            "with sbatch_options.",
            still_works="Live pictures, the verdict and local jobs go on.",
            try_this="Fill them in, or take rest_url away to use Slurm's programs over SSH.",
        )
    return RestAddress(settings.rest_url, settings.rest_version, user, settings.token_file)


def _address(settings: ClusterSettings, reserved: OnlineAnalysis, unread: str) -> SshAddress:
    nodes = reserved.reserved_nodes
    host = _needed(settings.host or (nodes[0] if nodes else None), "host", unread)
    user = _needed(settings.user or reserved.user_account, "user", unread)
    key_file = _needed(settings.key_file or reserved.private_key, "key_file", unread)
    known_hosts = settings.known_hosts or default_known_hosts()
    jump = None
    if settings.jump_host is not None:
        jump = SshAddress(
            host=settings.jump_host,
            port=settings.jump_port,
            user=settings.jump_user or user,
            key_file=settings.jump_key_file or key_file,
            known_hosts=known_hosts,
        )
    return SshAddress(
        host=host, port=settings.port, user=user, key_file=key_file, known_hosts=known_hosts, jump=jump
    )


def _paths(
    folder: BeamtimeFolder, settings: ClusterSettings, beamtime: Beamtime | None, unread: str
) -> PathMap:
    here = folder.path.absolute()
    if settings.beamtime_folder is not None:
        return PathMap(PurePosixPath(here), PurePosixPath(settings.beamtime_folder))
    if settings.transport == "local":
        return PathMap(PurePosixPath(here), PurePosixPath(here))
    if settings.files == "copy":
        core = _needed(beamtime.core_path if beamtime else None, "beamtime_folder", unread)
        return PathMap(PurePosixPath(here), PurePosixPath(core) / "scratch_cc" / "mento-gui")
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
