"""For the system tests: a place for the real program, and series recorded once for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program import START_S, Program, program_in
from recorded_detector import RecordedSeries


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with an empty beamtime folder; every process that came from it is ended afterwards."""
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield program


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[RecordedSeries]:
    """Short series of 40 frames in four files each, numbered on, as ``mento-gui simulate`` writes them."""
    return _record(tmp_path_factory, ["stable"] * 14, frames=40)


@pytest.fixture(scope="session")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> RecordedSeries:
    """A series of 160 frames in sixteen files: long enough for a verdict."""
    (series,) = _record(tmp_path_factory, ["stable"], frames=160)
    return series


@pytest.fixture(scope="session")
def beam_loss_recording(tmp_path_factory: pytest.TempPathFactory) -> RecordedSeries:
    """A series of 240 frames in files of ten; the beam is away from half of it to two thirds."""
    (series,) = _record(tmp_path_factory, ["beam-loss"], frames=240)
    return series


def _record(factory: pytest.TempPathFactory, scenarios: list[str], frames: int) -> list[RecordedSeries]:
    with program_in(factory.mktemp("p")) as program:
        wanted = [argument for name in scenarios for argument in ("--scenario", name)]
        written = program.run(
            "simulate", "--to", str(program.root), "--beamtime", *wanted,
            "--detector", "eiger500k", "--frames", str(frames), "--frames-per-file", "10",
            "--frame-time", "0.05", "--photons", "0.1", "--diffusion", "2000", "--seed", "3",
            within_s=START_S,
        )  # fmt: skip
        assert written.process.returncode == 0, written.error
        folders = sorted((program.root / "current" / "raw").iterdir(), key=_number_of)
    return [RecordedSeries(folder) for folder in folders]


def _number_of(folder: Path) -> int:
    return int(folder.name.rpartition("_")[2])


@pytest.fixture
def raw(program: Program) -> Path:
    """The raw folder of a beamtime under the root, with its metadata, as ``simulate --beamtime`` makes it."""
    from backend.simulation.beamtime_tree import write_beamtime_skeleton

    return write_beamtime_skeleton(program.root) / "raw"
