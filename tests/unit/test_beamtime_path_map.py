"""One folder, three names."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.beamtime.path_map import PathMap, map_to_core, map_to_node
from backend.errors import BeamtimeError

NAMES = st.text(st.characters(exclude_characters="/\x00"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: PurePosixPath("/", *names))
BELOW = st.lists(NAMES, max_size=4).map(lambda names: PurePosixPath(*names))


@given(PATHS, PATHS, BELOW)
def test_there_and_back(here: PurePosixPath, there: PurePosixPath, below: PurePosixPath) -> None:
    paths = PathMap(here, there)
    assert paths.to_there(here / below) == there / below
    assert paths.to_here(paths.to_there(here / below)) == here / below
    assert paths.argument_to_there(f"--to={here / below}") == f"--to={there / below}"


@given(st.text(max_size=20))
def test_what_is_no_path_stays(argument: str) -> None:
    assert (
        PathMap(PurePosixPath("/gpfs/current"), PurePosixPath("/b")).argument_to_there(argument) == argument
    )


def test_the_names_at_petra() -> None:
    here = PurePosixPath("/gpfs/current")
    series = here / "raw/silica_00001/e4m"
    assert str(map_to_node(here, "P10").to_there(series)) == "/beamline/p10/current/raw/silica_00001/e4m"
    core = PurePosixPath("/asap3/petra3/gpfs/p10/2026/data/11000000")
    assert map_to_core(here, core).to_there(series) == core / "raw/silica_00001/e4m"


@pytest.mark.parametrize("path", ["/gpfs/local/mask.npy", "/gpfs/currently/x", "/gpfs/current/../local/x"])
def test_what_lies_outside_cannot_be_seen(path: str) -> None:
    paths = map_to_node(PurePosixPath("/gpfs/current"), "p10")
    with pytest.raises(BeamtimeError, match="cannot be seen"):
        paths.to_there(PurePosixPath(path))
