"""What a job needs and what it leaves: environment, resources and output files, as its recipe states them.

Plain frozen types, as they travel from the recipe over the ledger to where the job runs. The limits in them are checked
when a recipe is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

OutputKind = Literal["mento-result", "hdf5", "mat", "csv", "png", "text", "file"]
"""How a file is opened, checked and shown; ``file`` is only kept."""

Word = Annotated[str, Field(min_length=1, max_length=300)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What is set up before the command starts, in this order; nothing of it touches the program that watches the job.

    Attributes
    ----------
    modules : tuple of str
        For ``module load``.
    conda : str
        Name or folder of a conda environment.
    setup : tuple of str
        Lines of shell, for instance ``source /software/xpcs/bin/activate``.
    container : str
        Image that ``apptainer exec`` runs the command in; the beamtime folder is mounted in it.
    variables : dict of str to str
        Environment variables.
    """

    __pydantic_config__ = _STRICT

    modules: tuple[Word, ...] = ()
    conda: str = ""
    setup: tuple[Word, ...] = ()
    container: str = ""
    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a job asks the cluster for; "" and ``None`` leave it to the settings and the cluster.

    ``gpus`` is per node, ``cpus`` per task, ``memory_gb`` per node; ``sbatch_options`` are passed on as they are.
    ``array`` is the number of tasks that the job consists of, each of them with these resources of its own.
    """

    __pydantic_config__ = _STRICT

    partition: str = ""
    reservation: str = ""
    nodes: Annotated[int, Field(ge=1, le=1000)] | None = None
    cpus: Annotated[int, Field(ge=1, le=4096)] | None = None
    gpus: Annotated[int, Field(ge=1, le=64)] | None = None
    memory_gb: Annotated[float, Field(gt=0, le=100_000)] | None = None
    array: Annotated[int, Field(ge=1, le=1000)] | None = None
    sbatch_options: tuple[Annotated[str, Field(pattern=r"^--[a-z]")], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Files that the command leaves in ``{output}``, what must be true of them, and how they are shown.

    Attributes
    ----------
    file : str
        Name or shell-style pattern, relative to ``{output}``.
    kind : OutputKind
        What it is.
    title : str
        For the window; "" means the file's name.
    x, y : str, tuple of str
        What is drawn over what: column names of a CSV file, paths of datasets in an HDF5 or MAT file. Without ``x``
        it is drawn over its index.
    needs : tuple of str
        Further datasets or columns that must be there.
    finite : bool
        Every number in ``x``, ``y`` and ``needs`` must be finite.
    shape : dict of str to tuple
        Lengths along each axis that a dataset or column must have; 0 means any length.
    required : bool
        The job fails when there is no such file.
    """

    __pydantic_config__ = _STRICT

    file: Word
    kind: OutputKind
    title: Annotated[str, Field(max_length=60)] = ""
    x: str = ""
    y: tuple[Word, ...] = ()
    needs: tuple[Word, ...] = ()
    finite: bool = False
    shape: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = field(default_factory=dict)
    required: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All datasets or columns that must be in the file."""
        wanted = (*([self.x] if self.x else ()), *self.y, *self.needs, *self.shape)
        return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What an intent holds beyond its command.

    Attributes
    ----------
    script : str
        Text for ``bash -e`` with placeholders, in place of a command; "" when there is none.
    values : dict of str to str
        Placeholders and what stands for them; the job also has them as variables ``MENTO_<NAME>``.
    writes_result : bool
        The job is to write one result file of ours to the path of the intent.
    """

    environment: Environment = Environment()
    resources: Resources = Resources()
    outputs: tuple[Output, ...] = ()
    script: str = ""
    values: dict[str, str] = field(default_factory=dict)
    writes_result: bool = True
