"""The script that a scheduler runs for a job, and the job as the nodes are to see it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from backend.beamtime.path_map import PathMap
from backend.dispatch.job import INTENT_FILE, LOG_FILE, STOP_GRACE_S, JobIntent
from backend.dispatch.process_identity import FOLDER_MARK, JOB_MARK
from backend.dispatch.scheduler import BatchRequest


def intent_on_node(intent: JobIntent, paths: PathMap) -> JobIntent:
    """The same job with all its paths as the nodes call them; there it has no display to step back for.

    Raises
    ------
    BeamtimeError
        A path lies outside the beamtime folder.
    """
    return replace(
        intent,
        command=tuple(paths.argument_to_there(argument) for argument in intent.command),
        folder=Path(paths.to_there(intent.folder)),
        part_path=Path(paths.to_there(intent.part_path)),
        result_path=Path(paths.to_there(intent.result_path)),
        nice=0,
        plan=replace(
            intent.plan,
            values={name: paths.argument_to_there(value) for name, value in intent.plan.values.items()},
        ),
    )


def batch_name(intent: JobIntent) -> str:
    """Name of the job on the cluster, by which it is found again.

    The same account may have run a job of the same key for another beamtime, so the moment of the intent, which the
    ledger holds, is a part of it.
    """
    return f"{intent.job_id}.{round(intent.submitted_at * 1000):x}"


def batch_request(on_node: JobIntent, python: str, setup: Sequence[str]) -> BatchRequest:
    """What the scheduler is to run for a job whose paths are those of the nodes.

    ``setup`` are lines of shell that come first, for instance ``module load``; if one fails, the job does. A log-in
    shell knows modules, and the wrapper takes its place, so that it gets the signals of the scheduler.
    """
    start = [python, "-P", "-m", "backend.dispatch.run_job", str(on_node.folder / INTENT_FILE)]
    # Slurm tells each task of an array which one it is.
    task = "" if on_node.plan.resources.array is None else ' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"'
    lines = (
        "#!/bin/bash -l",
        "set -e",
        *setup,
        f"export {JOB_MARK}={shlex.quote(on_node.job_id)}",
        f"export {FOLDER_MARK}={shlex.quote(str(on_node.folder))}",
        f"exec {shlex.join(start)}{task}",
    )
    return BatchRequest(
        key=batch_name(on_node),
        script="\n".join(lines) + "\n",
        log=PurePosixPath(on_node.folder / LOG_FILE),
        time_limit_s=on_node.time_limit_s + 2 * STOP_GRACE_S,
        resources=on_node.plan.resources,
    )
