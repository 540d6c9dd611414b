from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.dispatch.intent import WhereJobRuns, make_intent
from backend.dispatch.recipe import PLACEHOLDERS, Recipe, placeholders_in
from backend.dispatch.recipe_folder import load_recipes, read_recipe
from backend.errors import DispatchError
from backend.frames import DetectorInfo, SeriesInfo
from backend.settings import DispatchSettings

BUILT_IN = set(load_recipes()[0])
GOOD = """
name = "mine"
title = "My analysis"
description = "Does it."
command = ["analyse", "--in", "{master}", "--out={result}"]
"""


def series(sample: str = "silica", detector: str = "e4m", master: bool = True) -> SeriesInfo:
    folder = Path("/gpfs/current/raw/silica_00001/e4m")
    info = DetectorInfo(detector, (514, 1030), np.dtype(np.uint16))
    return SeriesInfo(
        "silica_00001", sample, 1, folder, info, folder / "silica_00001_master.h5" if master else None
    )


def intent_of(recipe: Recipe, info: SeriesInfo, settings_file: Path | None):
    where = WhereJobRuns(
        python=sys.executable,
        results=Path("/p/r"),
        beamtime=Path("/gpfs/current"),
        settings=DispatchSettings(),
        settings_file=settings_file,
    )
    return make_intent(recipe, info, 100, where, attempt=1, at=0.0)


def test_the_built_in_recipe_runs_our_own_correlation() -> None:
    recipes, problems = load_recipes()
    assert problems == ()
    master = "/gpfs/current/raw/silica_00001/e4m/silica_00001_master.h5"
    intent = intent_of(recipes["xpcs"], series(), None)
    start = (sys.executable, "-m", "mento_gui", "correlate", master, "--to", str(intent.part_path))
    assert intent.command == start
    with_settings = intent_of(recipes["xpcs"], series(), Path("/gpfs/current/shared/my settings.toml"))
    assert with_settings.command == (*start, "--settings", "/gpfs/current/shared/my settings.toml")


def test_a_recipe_of_the_beamtime_replaces_a_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.replace('"mine"', '"xpcs"'))
    recipes, problems = load_recipes([tmp_path, tmp_path / "does-not-exist"])
    assert problems == ()
    assert recipes["xpcs"].title == "My analysis"
    assert recipes["xpcs"].text_sha256 == hashlib.sha256((tmp_path / "a.toml").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = \n", "line 1"),
        (GOOD.replace("{master}", "{maister}"), "line 5, command: {maister}"),
        (GOOD.replace("{master}", "{master.parent}"), "line 5, command"),
        (GOOD.replace("{result}", "out"), "write {result} in the command, or name files in [[outputs]]"),
        (GOOD + 'colour = "red"\n', "line 6, colour"),
        (GOOD + "retries = -1\n", "line 6, retries"),
        (GOOD + "\n[applies_to]\nmin_frames = 0\n", "line 8, applies_to.min_frames"),
        (GOOD.replace('"mine"', '"../mine"'), "line 2, name"),
        (GOOD + f'text_sha256 = "{"0" * 64}"\n', "line 6: text_sha256"),
        ("", "name: Field required"),
    ],
)
def test_a_bad_recipe_is_explained_and_the_others_load(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    (tmp_path / "good.toml").write_text(GOOD)
    recipes, (problem,) = load_recipes([tmp_path])
    assert set(recipes) == {*BUILT_IN, "mine"}
    assert "bad.toml" in problem.what and words in problem.what
    assert problem.still_works and problem.try_this


def test_bytes_that_are_no_text_and_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    recipes, problems = load_recipes([tmp_path, tmp_path / "bad.toml"])
    assert set(recipes) == BUILT_IN
    assert sorted(problem.what.split(str(tmp_path))[0] for problem in problems) == [
        "The recipe file ",
        "The recipe folder ",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_as_a_recipe_gives_a_recipe_or_words(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("recipes") / "any.toml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        recipe = read_recipe(file)
    except DispatchError as error:
        assert "any.toml" in error.what
    else:
        assert recipe.command


@given(st.dictionaries(st.sampled_from(PLACEHOLDERS), st.text()), st.lists(st.text(), max_size=4))
def test_a_value_stays_one_argument_whatever_is_in_it(values: dict[str, str], plain: list[str]) -> None:
    quoted = tuple(text.replace("{", "{{").replace("}", "}}") for text in plain)
    groups = tuple(("--" + name, "{" + name + "}") for name in PLACEHOLDERS)
    recipe = Recipe(name="r", title="t", description="d", command=(*quoted, *groups))
    expected = [part for name in PLACEHOLDERS if name in values for part in ("--" + name, values[name])]
    assert recipe.fill(values) == (*plain, *expected)


@given(st.text("{}!:[]. ab", max_size=8))
def test_any_argument_has_placeholders_or_is_refused(argument: str) -> None:
    try:
        names = placeholders_in(argument)
    except ValueError:
        return
    assert argument.format_map(dict.fromkeys(names, "x")).count("x") == len(names)


def test_a_series_without_a_master_is_said() -> None:
    recipes, _ = load_recipes()
    with pytest.raises(DispatchError, match="needs {master}"):
        intent_of(recipes["xpcs"], series(master=False), None)


@pytest.mark.parametrize(
    ("sample", "detector", "frames", "expected"),
    [
        ("silica", "e4m", 100, True),
        ("silica", "e4m", 7, False),
        ("gold", "e4m", 100, False),
        ("silica", "e500", 100, False),
    ],
)
def test_which_series_a_recipe_is_for(sample: str, detector: str, frames: int, expected: bool) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "title": "t",
            "description": "d",
            "command": ["x", "{result}"],
            "applies_to": {"sample": "sil*", "detector": "e4m", "min_frames": 8},
        }
    )
    assert recipe.applies(series(sample, detector), frames) is expected


def test_keys_differ_by_wish_and_are_fit_for_file_names() -> None:
    recipe = load_recipes()[0]["xpcs"]
    odd = SeriesInfo("a b;rm -rf/..\n" + "x" * 300, "s", 1, Path("/r"), series().detector, Path("/r/m.h5"))
    one, other = intent_of(recipe, series(), None), intent_of(recipe, series(detector="e500"), None)
    assert one.job_id != other.job_id
    assert one.job_id == intent_of(recipe, series(), None).job_id
    assert len(intent_of(recipe, odd, None).job_id) < 150
    assert not set(intent_of(recipe, odd, None).job_id) & set(" /;\n")
