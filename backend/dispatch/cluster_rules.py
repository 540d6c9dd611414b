"""How jobs of a cluster are started, and how patient one is with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRules:
    """How jobs of this cluster are started and how patient one is with them.

    Attributes
    ----------
    python : str
        Interpreter on the nodes.
    settings_file : Path or None
        Settings of the live analysis with the paths in it as the nodes call them; it lies in the beamtime folder.
    setup : tuple of str
        Lines of shell before each job.
    parallel_jobs : int
        Jobs that may wait and run there at once.
    poll_s, idle_poll_s : float
        Seconds between two looks at the queue: after a change, and at most while nothing changes.
    unseen_s : float
        A job that the scheduler does not show for this long was not taken, or is forgotten.
    settle_s : float
        Seconds for the files of an ended job to appear here.
    submit_attempts : int
        A job that was refused so often is parked.
    """

    python: str
    settings_file: Path | None = None
    setup: tuple[str, ...] = ()
    parallel_jobs: int = 50
    poll_s: float = 5.0
    idle_poll_s: float = 60.0
    unseen_s: float = 60.0
    settle_s: float = 15.0
    submit_attempts: int = 5
