"""``mento-gui status``: what the running backend says."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

_EPILOG = """
\b
Examples:
  mento-gui status --root /gpfs
  mento-gui status --json | jq .verdict.state
"""


@click.command("status", epilog=_EPILOG)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="The folder that the backend watches.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Everything but the images, as one JSON object.")
def status(root: Path, as_json: bool) -> None:
    """Ask the backend for its verdict, series, jobs and messages.

    Exit code 1 when no backend answers.
    """
    from backend.errors import BackendUnreachableError
    from backend.publish.client import BackendClient
    from backend.publish.endpoint import endpoint_of
    from backend.requests import GetStatus

    root = root.absolute()
    if not endpoint_of(root).exists:
        raise click.ClickException(
            f"No backend runs for {root} on this host. Start one with: mento-gui --backend-only --root {root}"
        )
    try:
        with closing(BackendClient(root)) as client:
            reply = client.ask(GetStatus(), timeout_s=3.0)
    except BackendUnreachableError as error:
        raise click.ClickException(str(error)) from error
    if not reply.payload:
        raise click.ClickException(
            "The backend is starting and has nothing to say yet. Ask again in a moment."
        )
    if as_json:
        click.echo(reply.payload.decode())
    else:
        _print(json.loads(reply.payload))


def _print(state: dict[str, Any]) -> None:
    backend, verdict, series = state["backend"], state["verdict"], state["series"]
    click.echo(f"{verdict['state']}  {verdict['why']}")
    click.echo(f"Do: {verdict['do']}")
    if series is not None:
        expected = series["expected_frames"]
        planned = "" if expected is None else f" of {expected}"
        click.echo(f"Series {series['name']} ({series['status']}): {series['frames']}{planned} frames")
    if state["spot"] is not None:
        click.echo(f"Dose: {state['spot']['words']}")
    if state["sample"] is not None:
        _print_sample(state["sample"])
    click.echo(f"Backend: process {backend['pid']} on {backend['host']}, watching {backend['watching']}")
    for job in state["jobs"][:5]:
        click.echo(f"Job {job['job_id']} {job['recipe']} on {job['series']}: {job['state']}. {job['reason']}")
    for message in state["messages"]:
        click.echo(f"{message['level'].capitalize()}: {message['what']} {message['try_this']}")


def _print_sample(sample: dict[str, Any]) -> None:
    """All series of the sample, and whether the motion goes with the dose rate."""
    click.echo(f"Sample {sample['sample']} ({sample['detector']}): {sample['words']}")
    if sample["series"]:
        click.echo(
            f"  {'series':20} {'dose rate':>10} {'dose':>10} {'rate (1/s)':>18} {'low/high q':>14}  verdict"
        )
    for series in sample["series"]:
        rate = _with_error(series["relaxation_rate_per_s"], series["relaxation_rate_err"])
        ratio = _with_error(series["low_to_high_q"], series["low_to_high_q_err"])
        dose_rate = "-" if series["dose_rate"] is None else f"{series['dose_rate']:.3g}"
        dose = series["dose_words"] or "-"
        click.echo(
            f"  {series['series']:20} {dose_rate:>10} {dose:>10} {rate:>18} {ratio:>14}  {series['verdict']}"
        )
    if sample["series"]:
        click.echo(f"  dose rate in {sample['dose_rate_unit']}")


def _with_error(value: float | None, relative_error: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if relative_error is None else f"{value:.3g} +- {value * relative_error:.1g}"
