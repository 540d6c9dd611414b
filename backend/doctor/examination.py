"""Carries out checks in their order; what a failed one leaves open is not checked, and said."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from backend.beamtime.folder import BeamtimeFolder
from backend.beamtime.metadata import Beamtime
from backend.cluster_plan import ClusterPlan
from backend.dispatch.transport import Transport, TransportError
from backend.doctor.finding import Finding, Outcome, fault
from backend.errors import FeedbackError
from backend.settings import Settings


@dataclass(slots=True)
class Examination:
    """What is asked, and what earlier checks have found out for later ones; those say so in their ``needs``.

    Attributes
    ----------
    folder, beamtime : BeamtimeFolder, Beamtime or None
        From the checks of the beamtime; ``beamtime`` is ``None`` without metadata.
    plan : ClusterPlan
        From the check of the cluster settings.
    transport : Transport
        From the log-in.
    account : str
        Name of the account on the cluster, and ``groups`` it belongs to.
    work : Path
        Folder of this examination below ``processed``; taken away at the end.
    """

    root: Path
    settings: Settings
    job_wait_s: float
    folder: BeamtimeFolder = field(init=False)
    beamtime: Beamtime | None = None
    plan: ClusterPlan = field(init=False)
    transport: Transport | None = None
    account: str = ""
    groups: tuple[str, ...] = ()
    work: Path | None = None

    @property
    def cluster(self) -> Transport:
        """The connection, once the log-in was checked."""
        assert self.transport is not None
        return self.transport

    @property
    def has_shell(self) -> bool:
        """False where Slurm is only asked over its REST interface."""
        return self.plan.rest is None or self.plan.address is not None

    @property
    def work_folder(self) -> Path:
        """The folder of this examination, once writing was checked."""
        assert self.work is not None
        return self.work

    def name_work_folder(self) -> Path:
        """Choose a folder that no other examination has."""
        self.work = self.folder.processed / "mento-gui" / f"doctor-{uuid.uuid4().hex[:8]}"
        return self.work

    def close(self) -> None:
        """Take away what was written and end the connection."""
        if self.transport is not None:
            if self.work is not None and self.plan.copies:
                self._remove_there(self.transport, self.plan.paths.to_there(self.work))
            self.transport.close()
        if self.work is not None:
            # What cannot be removed does no harm there.
            shutil.rmtree(self.work, ignore_errors=True)

    @staticmethod
    def _remove_there(transport: Transport, copy: PurePosixPath) -> None:
        try:
            transport.run(["/bin/rm", "-rf", "--", str(copy)])
        except TransportError:
            # Without a connection it stays; a few megabytes in a folder for throw-away files.
            return


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``examine`` gives ``None`` where there is nothing to check here; what it raises is a fault.

    ``needs`` are names of checks without which this one makes no sense. One that is ``over_shell`` runs commands on the
    cluster; it is left out where nobody logs in there.
    """

    name: str
    needs: tuple[str, ...]
    examine: Callable[[Examination], Finding | None]
    over_shell: bool = False


def carry_out(checks: Sequence[Check], examination: Examination) -> Iterator[tuple[Check, Finding]]:
    """Findings as they come; a check whose needs were not met is not tried."""
    roots: dict[str, tuple[str, ...]] = {}
    for check in checks:
        blocked_by = tuple(dict.fromkeys(root for need in check.needs for root in roots.get(need, ())))
        if blocked_by:
            roots[check.name] = blocked_by
            names = " and ".join(f'"{name}"' for name in blocked_by)
            yield check, Finding(Outcome.NOT_CHECKED, f"Not checked because {names} failed.")
            continue
        if check.over_shell and not examination.has_shell:
            continue
        try:
            finding = check.examine(examination)
        except FeedbackError as problem:
            finding = fault(problem.what, problem.still_works, problem.try_this)
        if finding is None:
            continue
        if finding.outcome is Outcome.FAULT:
            roots[check.name] = (check.name,)
        yield check, finding
