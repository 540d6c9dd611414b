"""Makes a recipe of a command that a person typed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import ValidationError

from backend.dispatch.recipe import Recipe
from backend.errors import DispatchError
from backend.job_plan import Output, OutputKind
from backend.requests import SubmitCommand

_KINDS: dict[str, OutputKind] = {
    ".png": "png", ".csv": "csv", ".mat": "mat", ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5", ".nxs": "hdf5",
    ".txt": "text", ".log": "text",
}  # fmt: skip


def command_recipe(wish: SubmitCommand) -> Recipe:
    """A recipe that runs the command once.

    Raises
    ------
    DispatchError
        The name, a placeholder, an output or the time limit cannot be used.
    """
    name = re.sub(r"[^a-z0-9_-]", "-", wish.name.lower()).strip("-_")[:32] or "command"
    try:
        return Recipe.model_validate(
            {
                "name": name,
                "title": wish.name[:60] or name,
                "description": "Given by hand.",
                "command": wish.command,
                "executor": wish.executor,
                "time_limit_s": wish.time_limit_s,
                "outputs": [Output(file=pattern, kind=output_kind(pattern)) for pattern in wish.outputs],
                "leaves_files": bool(wish.outputs),
                "text_sha256": hashlib.sha256(wish.token.encode()).hexdigest(),
            }
        )
    except ValidationError as error:
        faults = "; ".join(
            ".".join(map(str, fault["loc"])) + ": " + fault["msg"].removeprefix("Value error, ")
            for fault in error.errors()
        )
        raise DispatchError(
            f"This command cannot be submitted: {faults}.",
            still_works="Nothing was started.",
            try_this="See mento-gui submit --help.",
        ) from error


def output_kind(pattern: str) -> OutputKind:
    """What a file is by the end of its name."""
    return _KINDS.get(Path(pattern).suffix.lower(), "file")
