"""``mento-gui submit``: runs any command as a job, in the words that users of MENTO have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click

_EPILOG = """
\b
Examples:
  mento-gui submit -- /software/analyse.sh {master} {output}
  mento-gui submit --on local --keep 'g2*.csv' -- python3 analyse.py {master}
  mento-gui submit --job-name dark --job-time 0:20:00 -- matlab -batch analyse_dark
"""


@click.command("submit", epilog=_EPILOG)
@click.argument("command", nargs=-1, required=True)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="The folder that the backend watches.",
)  # fmt: skip
@click.option("--job-name", default="", metavar="NAME", help="For the job table; else the program's name.")
@click.option(
    "--job-time", default=None, metavar="TIME",
    help="Time limit as for Slurm: minutes, HH:MM:SS or D-HH:MM:SS; else that of the settings.",
)  # fmt: skip
@click.option(
    "--on", "executor", type=click.Choice(["slurm", "local"]), default="slurm", show_default=True,
    help="On the cluster, or on the computer of the backend.",
)  # fmt: skip
@click.option(
    "--keep", "outputs", multiple=True, metavar="PATTERN",
    help="Files it leaves in the folder it runs in, to be checked and taken in; may be given more than once.",
)  # fmt: skip
@click.option("--series", default="", metavar="NAME", help="Series for placeholders; else the newest one.")
@click.option("--token", default="", help="Names the wish: the same one never gives a second job.")
def submit(
    command: tuple[str, ...],
    root: Path,
    job_name: str,
    job_time: str | None,
    executor: Literal["slurm", "local"],
    outputs: tuple[str, ...],
    series: str,
    token: str,
) -> None:
    """Run COMMAND as a job of the running backend and print its key.

    No shell is involved: each argument reaches the program as it is. Placeholders as in recipes, for instance
    {master} and {output}, stand for the newest series. The job is run once, followed, and can be seen and cancelled in
    the window and with mento-gui jobs. Exit code 1 when no backend answers or it refuses.
    """
    from backend.errors import FeedbackError
    from backend.submission import submit as hand_over

    try:
        key = hand_over(
            command,
            root=root,
            name=job_name,
            executor=executor,
            time_limit_s=None if job_time is None else seconds_of(job_time),
            outputs=outputs,
            series=series,
            token=token,
        )
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(key)


def seconds_of(job_time: str) -> float:
    """Seconds of a time limit as Slurm reads it: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS."""
    days, dash, clock = job_time.strip().rpartition("-")
    parts = clock.split(":")
    if not all(re.fullmatch(r"\d{1,6}", part) for part in (*parts, days or "0")) or len(parts) > 3:
        raise click.BadParameter(f"{job_time!r} is no time: write minutes, HH:MM:SS or D-HH:MM:SS.")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = numbers + [0] * (3 - len(numbers))
    else:
        hours, minutes, seconds = {1: (0, *numbers, 0), 2: (0, *numbers), 3: tuple(numbers)}[len(numbers)]
    return int(days or 0) * 86400.0 + hours * 3600 + minutes * 60 + seconds
