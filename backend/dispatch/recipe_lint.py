"""What is allowed in a recipe but probably not meant."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import replace

from backend.dispatch.recipe import EveryFrames, Recipe
from backend.job_plan import Resources

_SYNTAX_CHECK_S = 10


def recipe_warnings(recipe: Recipe, built_in: Collection[str]) -> list[str]:
    """Sentences about a recipe that can be used; ``built_in`` are the names of the built-in ones."""
    warnings = []
    if recipe.name in built_in:
        warnings.append(f"It replaces the built-in recipe {recipe.name}.")
    if recipe.executor == "local" and replace(recipe.resources, array=None) != Resources():
        warnings.append('[resources] has an effect only with executor = "slurm".')
    if recipe.resources.array is not None:
        warnings += _array_warnings(recipe)
    if isinstance(recipe.when, EveryFrames):
        warnings.append(
            "It runs while the series is written: its program must read the data files that are there, as the master "
            "names all of them."
        )
    if recipe.environment.container and "python" in recipe.placeholders:
        warnings.append("{python} is the interpreter outside the container.")
    return warnings + _missing_programs(recipe) + _syntax_faults(recipe)


def _array_warnings(recipe: Recipe) -> list[str]:
    warnings = []
    if "task" not in recipe.placeholders and "MENTO_TASK" not in recipe.script:
        warnings.append("Without {task} every task of the array does the same.")
    if recipe.executor == "local":
        warnings.append(
            'On this computer the tasks run one after the other; at once only with executor = "slurm".'
        )
    return warnings


def _missing_programs(recipe: Recipe) -> list[str]:
    environment = recipe.environment
    if recipe.executor != "local":
        return []
    prepared = environment.modules or environment.conda or environment.setup
    wanted = ["apptainer"] if environment.container else []
    if recipe.command and isinstance(recipe.command[0], str) and not environment.container:
        wanted.append(recipe.command[0])
    return [
        f"The program {name} is not installed on this computer."
        for name in wanted
        if not prepared and "{" not in name and shutil.which(name) is None
    ]


def _syntax_faults(recipe: Recipe) -> list[str]:
    if not recipe.script:
        return []
    checked = subprocess.run(
        ["/bin/bash", "-n"], input=recipe.script, capture_output=True, text=True, timeout=_SYNTAX_CHECK_S, check=False
    )  # fmt: skip
    lines = checked.stderr.replace("/bin/bash: ", "").splitlines()
    return [f"The script, as bash reads it: {line}" for line in lines]
