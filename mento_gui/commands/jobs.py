"""``mento-gui jobs``: the job table of the running backend, one job with its log, and what a person may do to it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.job_details import JobDetails
    from backend.requests import AnyRequest, Reply

_EPILOG = """
\b
Examples:
  mento-gui jobs
  mento-gui jobs --json | jq '.[].state'
  mento-gui jobs show silica_00012-xpcs-0a1b2c3d4e5f-1
  mento-gui jobs cancel silica_00012-xpcs-0a1b2c3d4e5f-1
  mento-gui jobs retry silica_00012-xpcs-0a1b2c3d4e5f-1
"""
_DONE_WORDS = {
    "cancel": "it is being stopped",
    "retry": "it is handed over again, or tried anew under a key of its own",
}


@click.command("jobs", epilog=_EPILOG)
@click.argument("action", type=click.Choice(["list", "show", "cancel", "retry"]), default="list")
@click.argument("job_id", required=False)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="The folder that the backend watches.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The list, or the job that is shown, as JSON.")
def jobs(action: str, job_id: str | None, root: Path, as_json: bool) -> None:
    """List the jobs of the running backend; show one with its log, cancel one, or try one again.

    Retry hands a parked job over once more; a job that failed or was cancelled is tried anew beside it. Exit code 1
    when no backend answers or the job cannot be changed.
    """
    from backend.requests import CancelJob, GetStatus, InspectJob, ResumeJob

    root = root.absolute()
    if action == "list":
        reply = _ask(root, GetStatus())
        rows = json.loads(reply.payload)["jobs"] if reply.payload else []
        click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(map(_line, rows)) or "No jobs yet.")
        return
    if job_id is None:
        raise click.UsageError(f"mento-gui jobs {action} needs the key of a job; mento-gui jobs lists them.")
    if action == "show":
        _show(_ask(root, InspectJob(job_id=job_id)).payload, as_json)
        return
    _ask(root, CancelJob(job_id=job_id) if action == "cancel" else ResumeJob(job_id=job_id))
    click.echo(f"{job_id}: {_DONE_WORDS[action]}.")


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
    words = [row["job_id"], "", f"{row['state']} ({row['executor']}){_elapsed(row)}", "", row["reason"]]
    if row["state"] in ("failed", "parked", "queued") and row["try_this"]:
        words.append(f"Try: {row['try_this']}")
    return " ".join(words)


def _elapsed(row: dict[str, Any]) -> str:
    if row["started_at"] is None:
        return ""
    # The clock of the computer that runs it may be ahead of ours.
    return f" {max(0.0, (row['ended_at'] or time.time()) - row['started_at']):.0f} s"


def _show(payload: bytes, as_json: bool) -> None:
    import msgspec

    from backend.job_details import JobDetails

    if as_json:
        click.echo(msgspec.json.format(payload, indent=1).decode())
        return
    click.echo("\n".join(_lines_of(msgspec.json.decode(payload, type=JobDetails))))


def _lines_of(job: JobDetails) -> list[str]:
    facts = [
        ("state", f"{job.state}: {job.reason}"),
        ("try", job.try_this),
        ("series", job.series),
        ("recipe", f"{job.recipe}, sha256 {job.recipe_sha256}, attempt {job.attempt}, on {job.executor}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in job.versions.items())),
        ("runs as", job.identity),
        ("folder", job.folder),
        ("command", " ".join(job.command)),
        ("problem", job.problem),
    ]
    lines = [job.job_id, *(f"{name:>9}: {words}" for name, words in facts if words)]
    lines += [f"{_clock(step.at)} {step.state:<9} {step.reason}" for step in job.steps]
    return [*lines, "", *(job.log or ("It has written nothing yet.",))]


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
