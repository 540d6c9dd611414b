"""``mento-gui doctor``: everything that jobs on the cluster need, looked over before the beamtime."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click

_EPILOG = """
\b
Examples:
  mento-gui doctor --root /gpfs
  mento-gui doctor --root /gpfs --settings p10.toml --job-wait 600
  mento-gui doctor --json | jq '.checks[] | select(.outcome == "fault")'
"""


@click.command("doctor", epilog=_EPILOG)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="Where current/ or commissioning/ stands.",
)  # fmt: skip
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML, those that the backend gets.",
)  # fmt: skip
@click.option(
    "--job-wait", type=click.FloatRange(0, 86400), default=120.0, show_default=True, metavar="SECONDS",
    help="How long the test job may take, waiting included; 0 sends none.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON object.")
def doctor(root: Path, settings_file: Path | None, job_wait: float, as_json: bool) -> None:
    """Check all that jobs on the cluster need: beamtime, keys, log-in, Slurm, file systems, versions, a test job.

    For each: what was found, and where that is not in order what it means and what to try. Nothing but a folder of its
    own below processed is written, and taken away again; a running backend is not disturbed. Exit code 1 when
    something keeps jobs from running, 0 otherwise.
    """
    from backend.doctor.checkup import ALL_CHECKS
    from backend.doctor.examination import Examination, carry_out
    from backend.doctor.report import is_at_fault, json_of, summary_of, text_of
    from backend.errors import FeedbackError
    from backend.program_version import PROGRAM_VERSION
    from backend.settings import load_settings

    try:
        settings = load_settings(settings_file)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    results = []
    if not as_json:
        click.echo(
            f"mento-gui {PROGRAM_VERSION} on {socket.gethostname()}, {datetime.now():%Y-%m-%d %H:%M}, for {root}\n"
        )
    with closing(Examination(root.absolute(), settings, job_wait)) as examination:
        for check, finding in carry_out(ALL_CHECKS, examination):
            results.append((check, finding))
            if not as_json:
                click.echo(text_of(check, finding))
    click.echo(json.dumps(json_of(results), indent=1) if as_json else f"\n{summary_of(results)}")
    sys.exit(1 if is_at_fault(results) else 0)
