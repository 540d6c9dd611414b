"""Hands a command to the running backend as a job: for scripts and macros; loads no Qt and needs no window."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

from backend.errors import BackendUnreachableError, DispatchError
from backend.publish.client import BackendClient
from backend.publish.endpoint import endpoint_of
from backend.requests import SubmitCommand

_ONE_ASK_S = 2.0


def submit(
    command: Sequence[str],
    *,
    root: Path | str = Path("/gpfs"),
    name: str = "",
    executor: Literal["local", "slurm"] = "slurm",
    time_limit_s: float | None = None,
    outputs: Sequence[str] = (),
    series: str = "",
    token: str = "",
    timeout_s: float = 10.0,
) -> str:
    """Run a command as a job of the backend that watches ``root``, and return its key for ``mento-gui jobs``.

    Returns as soon as the wish is stored, usually within milliseconds; what becomes of it is seen in the window and
    with ``mento-gui jobs``. Asked again with the same ``token``, there is still one job: a lost answer is asked for
    again here until ``timeout_s`` is over, and a macro that is run anew may give the token itself.

    >>> submit(["/software/analyse.sh", "{master}", "{output}"], outputs=["*.csv"])  # doctest: +SKIP
    'analyse-sh-command-5d1c0ffee123-1'

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell is involved. Placeholders as in recipes stand for the newest series. Paths below
        the beamtime folder are translated for the nodes.
    root : Path or str
        Folder that the backend watches.
    name : str
        For the job table; the program's name if not given.
    executor : str
        Where it runs.
    time_limit_s : float or None
        Seconds after which it is stopped; the settings have the largest.
    outputs : sequence of str
        Names or patterns of files in ``{output}`` (the folder it runs in) that are checked and taken in.
    series : str
        What placeholders stand for, if not the newest series.
    token : str
        Names the wish.
    timeout_s : float
        How long an answer is waited for.

    Raises
    ------
    DispatchError
        The backend refuses it; nothing was started.
    BackendUnreachableError
        No backend answers. If one heard it nevertheless, the same token finds the job.
    """
    if not command:
        raise DispatchError("There is no command to submit.", try_this="Give a program and its arguments.")
    path = Path(root).absolute()
    wish = SubmitCommand(
        token=token or uuid.uuid4().hex,
        name=name or Path(command[0]).name,
        command=tuple(map(str, command)),
        executor=executor,
        time_limit_s=time_limit_s,
        outputs=tuple(outputs),
        series=series,
    )
    if not endpoint_of(path).exists:
        raise BackendUnreachableError(
            f"No backend runs for {path} on this host.",
            still_works="The measurement is not affected.",
            try_this=f"Start one with: mento-gui --backend-only --root {path}",
        )
    with closing(BackendClient(path)) as client:
        return _ask(client, wish, time.monotonic() + timeout_s)


def _ask(client: BackendClient, wish: SubmitCommand, deadline: float) -> str:
    while True:
        try:
            reply = client.ask(wish, min(_ONE_ASK_S, max(0.1, deadline - time.monotonic())))
        except BackendUnreachableError:
            if time.monotonic() >= deadline:
                raise
            continue
        if not reply.ok:
            raise DispatchError(reply.message, still_works="Nothing was started.", try_this=reply.try_this)
        return reply.payload.decode()
