"""A recipe: which program runs on which series, what it needs and what it leaves."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backend.dispatch.script_text import placeholders_of, script_faults
from backend.errors import DispatchError
from backend.frames import SeriesInfo
from backend.job_plan import Environment, JobPlan, Output, Resources

PLACEHOLDERS = (
    "master", "result", "output", "beamtime", "folder", "frames", "series", "sample", "detector", "python", "settings",
    "task", "tasks",
)  # fmt: skip
"""What a command or script may contain in braces."""

RECIPE_NAME = r"[a-z0-9][a-z0-9_-]{0,31}"
"""What a recipe may be called: its name goes into file names and keys."""

_OWN_OPTIONS = (
    "job-name", "comment", "hold", "parsable", "requeue", "no-requeue", "export", "output", "error", "open-mode",
    "chdir", "array", "wrap", "time",
)  # fmt: skip
"""Options of sbatch that the hand-over itself needs."""


class _RecipePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AppliesTo(_RecipePart):
    """Series a recipe is meant for: shell-style patterns for series, sample and detector, and numbers of frames."""

    series: str = "*"
    sample: str = "*"
    detector: str = "*"
    min_frames: int = Field(default=1, ge=1)
    max_frames: int | None = Field(default=None, ge=1)


class EveryFrames(_RecipePart):
    """Run again whenever so many more frames are there, and at the end; the newest run replaces one that waits."""

    every_frames: int = Field(ge=1)


class Recipe(_RecipePart):
    """One analysis, as its TOML file states it.

    Either ``command``, one entry per argument, or ``script``, a text for ``bash -e``. An entry of the command that is
    itself a list is an optional group: it is left out whole when one of its placeholders has no value. What the program
    leaves in the folder ``{output}`` is named in ``outputs``; ``{result}`` is the name for a result file of our own
    form. A program that stores its results by itself has ``leaves_files = false``. ``executor`` says where it runs: on
    the computer of the backend, or on the cluster; ``without_cluster`` what becomes of its jobs while that takes none:
    they wait, or run here after a while. ``text_sha256`` is the hash of the file's text and goes into every result.
    """

    name: str = Field(pattern=f"^{RECIPE_NAME}$")
    title: str = Field(min_length=1, max_length=60)
    description: str = Field(min_length=1, max_length=300)
    command: tuple[str | tuple[str, ...], ...] = ()
    script: str = ""
    applies_to: AppliesTo = AppliesTo()
    executor: Literal["local", "slurm"] = "local"
    without_cluster: Literal["wait", "local"] = "wait"
    when: Literal["series-ended"] | EveryFrames = "series-ended"
    environment: Environment = Environment()
    resources: Resources = Resources()
    time_limit_s: float | None = Field(default=None, gt=0, le=30 * 86400)
    result: Literal["mento-result"] = "mento-result"
    outputs: tuple[Output, ...] = Field(default=(), max_length=50)
    leaves_files: bool = True
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

    @field_validator("script")
    @classmethod
    def _sound_script(cls, script: str) -> str:
        faults = [f"its line {fault.line}: {fault.what}" for fault in script_faults(script, PLACEHOLDERS)]
        if faults:
            raise ValueError("; ".join(faults))
        return script

    @field_validator("outputs")
    @classmethod
    def _outputs_stay_inside(cls, outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        for output in outputs:
            path = PurePosixPath(output.file)
            if path.is_absolute() or ".." in path.parts or "\0" in output.file:
                raise ValueError(f"{output.file!r} must lie in {{output}}: write its name in there")
            if output.names and output.kind not in ("hdf5", "mat", "csv", "mento-result"):
                raise ValueError(f"{output.file!r}: only HDF5, MAT and CSV files have datasets or columns")
        return outputs

    @field_validator("resources")
    @classmethod
    def _leaves_the_hand_over_alone(cls, resources: Resources) -> Resources:
        for option in resources.sbatch_options:
            if option[2:].partition("=")[0] in _OWN_OPTIONS:
                raise ValueError(f"{option} is set for every job and cannot be changed by a recipe")
        return resources

    @model_validator(mode="after")
    def _is_complete(self) -> Recipe:
        if bool(self.command) == bool(self.script.strip()):
            raise ValueError("needs either command or script, and not both")
        if self.leaves_files and not self.outputs and not self.writes_result:
            raise ValueError(
                "nothing would be found: write {result} in the command, or name files in [[outputs]]; "
                "leaves_files = false is for a program that stores its results by itself"
            )
        return self

    @model_validator(mode="after")
    def _tasks_are_apart(self) -> Recipe:
        if self.resources.array is None:
            # An optional group of the command is left out.
            text = " ".join(part for part in self.command if isinstance(part, str))
            needed = self.placeholders if self.script else placeholders_in(text)
            named = [name for name in ("task", "tasks") if name in needed]
            if named:
                raise ValueError(f"{{{named[0]}}} has a value only with array = N in [resources]")
            return self
        if self.writes_result:
            raise ValueError(
                "the tasks of an array cannot all write {result}: let each leave files in {output}, its own folder, "
                "and name them in [[outputs]]"
            )
        if any("{{task}}" in argument for argument in _arguments(self.command)):
            raise ValueError("{{task}} cannot be told from the placeholder in a job of several tasks")
        return self

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Placeholders in the command or script, each once."""
        if self.script:
            return placeholders_of(self.script, PLACEHOLDERS)
        return tuple(
            dict.fromkeys(name for text in _arguments(self.command) for name in placeholders_in(text))
        )

    @property
    def writes_result(self) -> bool:
        """True when the program is told the name of a result file of our form."""
        return "result" in self.placeholders

    def applies(self, info: SeriesInfo, frames: int) -> bool:
        """True when the recipe is meant for this series with this many frames."""
        limits = self.applies_to
        return (
            fnmatchcase(info.name, limits.series)
            and fnmatchcase(info.sample, limits.sample)
            and fnmatchcase(info.detector.name, limits.detector)
            and limits.min_frames <= frames
            and (limits.max_frames is None or frames <= limits.max_frames)
        )

    def fill(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """Program and arguments with the values put in, argument by argument; empty for a script.

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
                raise self._lacks(lacking[0])
            if not lacking:
                filled += [argument.format_map(dict(values)) for argument in group]
        return tuple(filled)

    def plan(self, values: Mapping[str, str | None]) -> JobPlan:
        """Everything beside the command that a job of this recipe needs.

        Raises
        ------
        DispatchError
            The script has a placeholder that has no value for this series.
        """
        known = {name: value for name, value in values.items() if value is not None}
        for name in self.placeholders if self.script else ():
            if name not in known:
                raise self._lacks(name)
        return JobPlan(
            environment=self.environment,
            resources=self.resources,
            outputs=self.outputs,
            script=self.script,
            values=known,
            writes_result=self.writes_result,
        )

    def _lacks(self, name: str) -> DispatchError:
        return DispatchError(
            f"The recipe {self.name} needs {{{name}}}, which this series does not have.",
            still_works="The live analysis and other recipes are not affected.",
            try_this="Run the recipe again when the file is there (for {master}: the detector's master file).",
        )


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
