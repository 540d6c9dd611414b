"""A recipe: which command runs on which series."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backend.errors import DispatchError
from backend.frames import SeriesInfo

PLACEHOLDERS = ("master", "result", "beamtime", "frames", "series", "python", "settings")
"""What a command may contain in braces."""


class _RecipePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppliesTo(_RecipePart):
    """Series a recipe is meant for: shell-style patterns for sample and detector, and a least number of frames."""

    sample: str = "*"
    detector: str = "*"
    min_frames: int = Field(default=1, ge=1)


class Recipe(_RecipePart):
    """One analysis, as its TOML file states it.

    ``command`` has one entry per argument. An entry that is itself a list is an optional group: it is left out whole
    when one of its placeholders has no value. ``executor`` says where it runs: on the computer of the backend, or on
    the cluster; ``without_cluster`` what becomes of its jobs while that takes none: they wait, or run here after a
    while. ``text_sha256`` is the hash of the file's text and goes into every result.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    title: str = Field(min_length=1, max_length=60)
    description: str = Field(min_length=1, max_length=300)
    command: tuple[str | tuple[str, ...], ...] = Field(min_length=1)
    applies_to: AppliesTo = AppliesTo()
    executor: Literal["local", "slurm"] = "local"
    without_cluster: Literal["wait", "local"] = "wait"
    when: Literal["series-ended"] = "series-ended"
    time_limit_s: float | None = Field(default=None, gt=0, le=30 * 86400)
    result: Literal["mento-result"] = "mento-result"
    retries: int = Field(default=0, ge=0, le=10)
    text_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("command")
    @classmethod
    def _known_placeholders(
        cls, command: tuple[str | tuple[str, ...], ...]
    ) -> tuple[str | tuple[str, ...], ...]:
        for argument in _arguments(command):
            unknown = [name for name in placeholders_in(argument) if name not in PLACEHOLDERS]
            if unknown:
                raise ValueError(
                    f"{{{unknown[0]}}} in {argument!r} is not known; possible are "
                    + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                )
        return command

    @model_validator(mode="after")
    def _names_its_result(self) -> Recipe:
        if not any("result" in placeholders_in(argument) for argument in _arguments(self.command)):
            raise ValueError("command: no argument contains {result}, so no result could be found")
        return self

    def applies(self, info: SeriesInfo, frames: int) -> bool:
        """True when the recipe is meant for this series with this many frames."""
        return (
            fnmatchcase(info.sample, self.applies_to.sample)
            and fnmatchcase(info.detector.name, self.applies_to.detector)
            and frames >= self.applies_to.min_frames
        )

    def fill(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """Program and arguments with the values put in, argument by argument.

        Raises
        ------
        DispatchError
            A placeholder outside an optional group has no value for this series.
        """
        filled: list[str] = []
        for entry in self.command:
            group = (entry,) if isinstance(entry, str) else entry
            lacking = [
                name for argument in group for name in placeholders_in(argument) if values.get(name) is None
            ]
            if lacking and isinstance(entry, str):
                raise DispatchError(
                    f"The recipe {self.name} needs {{{lacking[0]}}}, which this series does not have.",
                    still_works="The live analysis and other recipes are not affected.",
                    try_this="Run the recipe again when the file is there (for {master}: the detector's master file).",
                )
            if not lacking:
                filled += [argument.format_map(dict(values)) for argument in group]
        return tuple(filled)


def placeholders_in(argument: str) -> list[str]:
    """Names in braces in one argument; doubled braces stand for themselves.

    Raises
    ------
    ValueError
        Braces do not match, or a placeholder holds more than a name.
    """
    names = []
    for _, name, form, conversion in string.Formatter().parse(argument):
        if name is None:
            continue
        if form or conversion or not re.fullmatch(r"[a-z_]+", name):
            raise ValueError(f"{argument!r}: write a placeholder as {{name}}, and a brace itself twice")
        names.append(name)
    return names


def text_sha256(text: str) -> str:
    """Hash of a recipe's text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _arguments(command: tuple[str | tuple[str, ...], ...]) -> list[str]:
    return [argument for entry in command for argument in ((entry,) if isinstance(entry, str) else entry)]
