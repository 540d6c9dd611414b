"""``mento-gui jobs``: the job table of the running backend, and what a person may do to a job."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.requests import AnyRequest, Reply

_EPILOG = """
\b
Examples:
  mento-gui jobs
  mento-gui jobs --json | jq '.[].state'
  mento-gui jobs cancel silica_00012-xpcs-0a1b2c3d4e5f-1
  mento-gui jobs resume silica_00012-xpcs-0a1b2c3d4e5f-1
"""


@click.command("jobs", epilog=_EPILOG)
@click.argument("action", type=click.Choice(["list", "cancel", "resume"]), default="list")
@click.argument("job_id", required=False)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="The folder that the backend watches.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
def jobs(action: str, job_id: str | None, root: Path, as_json: bool) -> None:
    """List the jobs of the running backend, cancel one, or resume one.

    Resume hands a parked job over again; a job that failed or was cancelled is tried anew beside it. Exit code 1 when
    no backend answers or the job cannot be changed.
    """
    from backend.requests import CancelJob, GetStatus, ResumeJob

    if action == "list":
        reply = _ask(root.absolute(), GetStatus())
        rows = json.loads(reply.payload)["jobs"] if reply.payload else []
        click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(map(_line, rows)) or "No jobs yet.")
        return
    if job_id is None:
        raise click.UsageError(f"mento-gui jobs {action} needs the key of a job; mento-gui jobs lists them.")
    _ask(root.absolute(), CancelJob(job_id=job_id) if action == "cancel" else ResumeJob(job_id=job_id))
    click.echo(f"{job_id}: {'it is being stopped' if action == 'cancel' else 'it is handed over again'}.")


def _ask(root: Path, request: AnyRequest) -> Reply:
    from backend.errors import BackendUnreachableError
    from backend.publish.client import BackendClient
    from backend.publish.endpoint import endpoint_of

    if not endpoint_of(root).exists:
        raise click.ClickException(
            f"No backend runs for {root} on this host. Start one with: mento-gui --backend-only --root {root}"
        )
    try:
        with closing(BackendClient(root)) as client:
            reply = client.ask(request, timeout_s=3.0)
    except BackendUnreachableError as error:
        raise click.ClickException(str(error)) from error
    if not reply.ok:
        raise click.ClickException(f"{reply.message} {reply.try_this}".strip())
    return reply


def _line(row: dict[str, Any]) -> str:
    return f"{row['job_id']}  {row['state']} ({row['executor']})  {row['reason']}"
