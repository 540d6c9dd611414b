"""Everything that a recipe may ask a cluster for, and how Slurm shows a job that got it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from slurm_over_ssh import SlurmOverSsh

from backend.dispatch.scheduler import BatchRequest, Scheduler
from backend.job_plan import Resources

_RESERVATION = "beamtime"
_ASKED = Resources(
    partition="long", reservation=_RESERVATION, nodes=1, cpus=1, gpus=2, memory_gb=0.25, array=3
)
_SHOWN = (
    "Partition=long", "Reservation=beamtime", "NumNodes=1", "CPUs/Task=1", "MinMemoryNode=256M",
    "TimeLimit=00:18:00", "gpu:2", "ArrayTaskId=0-2", "Requeue=0", "JobState=PENDING", "Reason=JobHeldUser",
)  # fmt: skip


def what_did_not_arrive(scheduler: Scheduler, cluster: SlurmOverSsh, request: BatchRequest) -> list[str]:
    """Hand over a request that asks for everything; what Slurm does not show of it, and all that it shows then."""
    asked = replace(request, resources=_ASKED, time_limit_s=1000.0)
    with _reserved(cluster):
        try:
            taken = scheduler.submit(asked)
            assert taken.number, taken.message
            shown = cluster.slurm("scontrol", "show", "job", taken.number)
        finally:
            cluster.slurm("scancel", f"--name={request.key}")
    missing = [words for words in _SHOWN if words not in shown]
    return [*missing, shown] if missing else []


@contextmanager
def _reserved(cluster: SlurmOverSsh) -> Iterator[None]:
    cluster.slurm(
        "scontrol", "create", "reservation", f"ReservationName={_RESERVATION}", f"Users={cluster.user}", "Nodes=n1",
        "StartTime=now", "Duration=60", "Flags=IGNORE_JOBS",
    )  # fmt: skip
    try:
        yield
    finally:
        cluster.slurm("scontrol", "delete", f"ReservationName={_RESERVATION}")
