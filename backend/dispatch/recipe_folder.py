"""Reads recipe files: the built-in ones and those of the beamtime, which win by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from backend.dispatch.recipe import Recipe, text_sha256
from backend.errors import DispatchError


def load_recipes(folders: Iterable[Path] = ()) -> tuple[dict[str, Recipe], tuple[DispatchError, ...]]:
    """Recipes by name, and what is wrong with the files that could not be used.

    Built-in recipes come first; a recipe in a later folder replaces one of the same name. A folder that does not
    exist holds no recipes; a bad file does not keep the others from loading.
    """
    recipes: dict[str, Recipe] = {}
    problems: list[DispatchError] = []
    for file in _recipe_files(folders, problems):
        try:
            recipe = read_recipe(file)
        except DispatchError as problem:
            problems.append(problem)
        else:
            recipes[recipe.name] = recipe
    return recipes, tuple(problems)


def read_recipe(file: Traversable) -> Recipe:
    """Recipe from one TOML file.

    Raises
    ------
    DispatchError
        The file cannot be read, is not TOML, or a value cannot be used; names file, line and reason.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_recipe(file, f"cannot be read: {error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad_recipe(file, f"is not valid TOML: {error}") from error
    if "text_sha256" in document:
        raise _bad_recipe(
            file, f"line {_line_of(text, ('text_sha256',))}: text_sha256 is computed, not written"
        )
    try:
        return Recipe.model_validate(document | {"text_sha256": text_sha256(text)})
    except ValidationError as error:
        faults = "; ".join(
            _fault(text, fault["loc"], fault["msg"].removeprefix("Value error, ")) for fault in error.errors()
        )
        raise _bad_recipe(file, f"cannot be used: {faults}") from error


def _recipe_files(folders: Iterable[Path], problems: list[DispatchError]) -> list[Traversable]:
    built_in: Traversable = resources.files("resources") / "recipes"
    files: list[Traversable] = []
    for folder in (built_in, *folders):
        try:
            names = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(
                DispatchError(
                    f"The recipe folder {folder} cannot be read: {error.strerror or error}.",
                    still_works="Recipes of the other folders are used.",
                    try_this="Check that it is a folder you may read.",
                )
            )
            continue
        files += sorted(names, key=lambda entry: entry.name)
    return files


def _fault(text: str, location: tuple[int | str, ...], message: str) -> str:
    keys = tuple(
        part for part in location if isinstance(part, str) and part not in ("str", "tuple[str, ...]")
    )
    if not keys:
        return message
    line = _line_of(text, keys)
    place = f"line {line}, " if line else ""
    return f"{place}{'.'.join(keys)}: {message}"


def _line_of(text: str, keys: tuple[str, ...]) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"""\s*\[?["']?{re.escape(keys[-1])}["']?\s*[\]=.]""", line):
            return number
    return None


def _bad_recipe(file: Traversable, what: str) -> DispatchError:
    return DispatchError(
        f"The recipe file {file} {what}.",
        still_works="All other recipes are used; a built-in recipe of the same name stays in force.",
        try_this="Correct the file; it is read again at the next start.",
    )
