"""``mento-gui recipe`` as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from engine_in_thread import beamtime
from speckle_series import speckle_frames, write_speckle_series

from backend.dispatch.recipe_folder import line_of, load_recipes
from mento_gui.command_line import main

GOOD = """name = "mine"
title = "Mine"
description = "Copies the master."
script = \"\"\"
cp {master} copy.h5
printf 'x,y\\\\n1,2\\\\n' > g2.csv
\"\"\"

[[outputs]]
file = "copy.h5"
kind = "hdf5"

[[outputs]]
file = "g2.csv"
kind = "csv"
y = ["y"]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    raw = beamtime(tmp_path / "gpfs")
    write_speckle_series(raw, speckle_frames(40, seed=1), "gel_00001")
    return tmp_path / "gpfs"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["recipe", *(str(argument) for argument in arguments)])


def test_check_shows_the_script_and_runs_it_on_the_last_series(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    told = run("check", file, "--root", root)
    assert told.exit_code == 0, told.output
    assert f"cp {root}/current/raw/gel_00001" in told.output and "Running it on gel_00001" in told.output
    assert "copy.h5 (hdf5)" in told.output and "g2.csv (csv)" in told.output
    assert not list((root / "current" / "processed").rglob("*mine*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("{master}", "{mastr}"), "script: line 5: {mastr} is not known; do you mean {master}?"),
        (("cp {master}", 'cp "{master}"'), "script: line 5: {master} stands between quotes"),
        (('kind = "csv"', 'kind = "cvs"'), "line 15, outputs.kind"),
        (('y = ["y"]', 'z = ["y"]'), "line 16, outputs.z"),
        (('name = "mine"', 'name = "My"'), "line 1, name"),
        (('title = "Mine"', 'title = "Mine'), "line 2"),
    ],
)
def test_check_says_what_is_wrong_in_which_line(
    root: Path, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace(*change))
    told = run("check", file, "--root", root)
    assert told.exit_code == 1 and f"{file}: " in told.output and words in told.output


def test_check_warns_of_what_is_probably_not_meant(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = GOOD.replace('"mine"', '"xpcs"').replace("cp {master}", "if cp {master}")
    file.write_text(text + "[resources]\ncpus = 4\n[applies_to]\nmin_frames = 1000\n")
    told = run("check", file, "--root", root, "--no-run")
    assert told.exit_code == 0, told.output
    for words in (
        "replaces the built-in",
        "[resources] has an effect only",
        "syntax error",
        "not meant for gel",
    ):
        assert words in told.output
    assert "Running it" not in told.output


def test_a_failing_run_is_told_with_its_log(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace("cp {master} copy.h5", "exit 5"))
    told = run("check", file, "--root", root, "--on", root / "current" / "raw" / "gel_00001")
    assert told.exit_code == 1 and "exit code 5" in told.output and "Log: " in told.output


def test_a_new_recipe_can_be_used_and_replaces_nothing(root: Path) -> None:
    recipes = root / "current" / "shared" / "recipes"
    for like in load_recipes()[0]:
        made = run("new", f"my-{like}", "--like", like, "--root", root)
        assert made.exit_code == 0, made.output
    listed = run("list", "--root", root)
    assert listed.exit_code == 0 and "my-shell-script" in listed.output
    assert run("check", recipes / "my-xpcs.toml", "--root", root, "--no-run").exit_code == 0
    again = run("new", "my-xpcs", "--root", root)
    assert again.exit_code == 1 and "already" in again.output
    assert run("new", "My", "--root", root).exit_code == 1
    assert "Known are" in run("new", "other", "--like", "none", "--root", root).output
    (recipes / "bad.toml").write_text("name = ")
    listed = run("list", "--root", root)
    assert listed.exit_code == 1 and "bad.toml" in listed.output


def test_without_a_series_it_is_said(tmp_path: Path) -> None:
    raw = beamtime(tmp_path / "empty")
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    told = run("check", file, "--root", tmp_path / "empty")
    assert told.exit_code == 1 and str(raw) in told.output and "--on" in told.output


def test_lines_are_found_in_tables_and_lists() -> None:
    text = "a = 1\n[b]\nc = 2\n[[d]]\nc = 3\n[[d]]\nc = 4\n[e.f]\ng = 5\nh = { c = 6 }\n"
    places = {("a",): 1, ("b", "c"): 3, ("d", 0, "c"): 5, ("d", 1, "c"): 7, ("e", "f", "g"): 9, ("z",): None}
    assert {place: line_of(text, place) for place in places} == places
    assert line_of(text, ("e", "h", "c")) == 10
