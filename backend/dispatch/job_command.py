"""What a job's wrapper starts: the command or the script, inside the environment that the recipe asks for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from backend.dispatch.script_text import fill_script
from backend.job_plan import Environment
from backend.ledger_rows import JobIntent

SCRIPT_FILE = "script.sh"
OUTPUT_FOLDER = "output"
VALUE_PREFIX = "MENTO_"
JOB_FACTS = {"key": "MENTO_JOB", "recipe": "MENTO_RECIPE", "recipe_sha256": "MENTO_RECIPE_SHA256"}
"""What a job is told of itself, and by which environment variable."""


def output_folder(job_folder: Path) -> Path:
    """Where the command runs and leaves its files, for ``{output}``; private to the job."""
    return job_folder / OUTPUT_FOLDER


def script_of(intent: JobIntent) -> str:
    """The script of a job with its values put in; "" when it has a command instead."""
    return fill_script(intent.plan.script, intent.plan.values)


def program_of(intent: JobIntent) -> tuple[str, ...]:
    """Program and arguments that the wrapper starts, in the folder for the output."""
    script = intent.folder / SCRIPT_FILE
    inner = ("/bin/bash", "-e", str(script)) if intent.plan.script else intent.command
    environment = intent.plan.environment
    if environment.container:
        seen = dict.fromkeys((intent.plan.values.get("beamtime"), str(intent.result_path.parent)))
        mounts = [part for folder in seen if folder for part in ("--bind", folder)]
        where = str(output_folder(intent.folder))
        inner = ("apptainer", "exec", *mounts, "--pwd", where, environment.container, *inner)
    if environment.variables:
        inner = (
            "/usr/bin/env",
            *(f"{name}={value}" for name, value in environment.variables.items()),
            *inner,
        )
    lines = _preparation(environment)
    if not lines:
        return inner
    # A log-in shell knows modules; the command takes its place and gets its arguments as they are.
    shell = "\n".join(["set -e", *lines, 'exec "$@"'])
    return ("/bin/bash", "-l", "-c", shell, "mento-gui", *inner)


def job_variables(intent: JobIntent) -> dict[str, str]:
    """What the command finds in its environment: its job, and the values of the placeholders for what is no shell."""
    values = {VALUE_PREFIX + name.upper(): value for name, value in intent.plan.values.items()}
    facts = zip(JOB_FACTS.values(), (intent.job_id, intent.recipe, intent.recipe_sha256), strict=True)
    return values | dict(facts)


def job_facts(environment: Mapping[str, str]) -> dict[str, str]:
    """Key, recipe and hash of the recipe of the job that runs this program, for its result; nothing outside a job."""
    return {name: environment[variable] for name, variable in JOB_FACTS.items() if environment.get(variable)}


def _preparation(environment: Environment) -> list[str]:
    lines = [f"module load {shlex.quote(name)}" for name in environment.modules]
    if environment.conda:
        lines += ['eval "$(conda shell.posix hook)"', f"conda activate {shlex.quote(environment.conda)}"]
    return lines + list(environment.setup)
