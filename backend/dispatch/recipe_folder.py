"""Reads recipe files: the built-in ones and those of the beamtime, which win by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from backend.dispatch.recipe import RECIPE_NAME, Recipe, text_sha256
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
    RecipeError
        The file cannot be read, is not TOML, or a value cannot be used; names file, line and reason.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(file, "cannot be read", [str(error)]) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(file, "is not valid TOML", [str(error)]) from error
    if "text_sha256" in document:
        line = line_of(text, ("text_sha256",))
        raise RecipeError(file, "cannot be used", [f"line {line}: text_sha256 is computed, not written"])
    try:
        return Recipe.model_validate(document | {"text_sha256": text_sha256(text)})
    except ValidationError as error:
        faults = [
            _fault(text, fault["loc"], fault["msg"].removeprefix("Value error, ")) for fault in error.errors()
        ]
        raise RecipeError(file, "cannot be used", list(dict.fromkeys(faults))) from error


def recipe_text_like(like: str, name: str, folders: Iterable[Path] = ()) -> str:
    """Text of the recipe ``like`` under a new name, to begin a recipe with.

    Raises
    ------
    DispatchError
        There is no such recipe, or the name cannot be one.
    """
    if not re.fullmatch(RECIPE_NAME, name):
        raise DispatchError(
            f"A recipe cannot be called {name!r}.",
            try_this="Use up to 32 small letters, digits, - and _, the first one a letter or digit.",
        )
    texts = {}
    for file in _recipe_files(folders, []):
        text = file.read_text(encoding="utf-8")
        texts[file.name.removesuffix(".toml")] = text
    if like not in texts:
        raise DispatchError(
            f"There is no recipe {like} to begin with.", try_this=f"Known are {', '.join(sorted(texts))}."
        )
    return re.sub(r"(?m)^name = .*$", f'name = "{name}"', texts[like], count=1)


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


def line_of(text: str, location: tuple[int | str, ...]) -> int | None:
    """Line (from 1) of a TOML text where a value stands, given its keys and places in lists; ``None`` if not found."""
    lines = text.splitlines()
    found: int | None = None
    for place, key in enumerate(location):
        if isinstance(key, int):
            continue
        following = location[place + 1] if place + 1 < len(location) else None
        entry = following if isinstance(following, int) else None
        line = _find_key(lines, 0 if found is None else found, key, entry)
        if line is None:
            break
        found = line
    return None if found is None else found + 1


def _find_key(lines: list[str], first: int, key: str, entry: int | None) -> int | None:
    quoted = rf"""["']?{re.escape(key)}["']?"""
    # The key may follow its table on the same line, as in: applies_to = { min_frames = 3 }
    value = re.compile(rf"(?:^|[{{,])\s*{quoted}\s*[=.]")
    table = re.compile(rf"^\s*\[(?:[\w-]+\.)*{quoted}\s*[\].]")
    tables = re.compile(rf"^\s*\[\[(?:[\w-]+\.)*{quoted}\s*\]\]")
    numbered = list(enumerate(lines))[first:]
    if entry is not None:
        entries = [number for number, line in numbered if tables.match(line)]
        if entry < len(entries):
            return entries[entry]
    for number, line in numbered:
        if value.search(line) or table.match(line):
            return number
    return None


def _fault(text: str, location: tuple[int | str, ...], message: str) -> str:
    keys = [part for part in location if isinstance(part, str) and re.fullmatch(r"[a-z_0-9]+", part)]
    # A union adds the names of its members to the place.
    keys = [key for key in keys if key != "str"]
    if not keys:
        return message
    line = line_of(text, tuple(part for part in location if isinstance(part, int) or part in keys))
    if keys == ["script"] and line is not None:
        # In a script of several lines the first one stands below the quotes.
        above = line - (0 if text.splitlines()[line - 1].rstrip().endswith(('"""', "'''")) else 1)
        return re.sub(r"its line (\d+)", lambda match: f"line {above + int(match[1])}", f"script: {message}")
    place = f"line {line}, " if line else ""
    return f"{place}{'.'.join(keys)}: {message}"


class RecipeError(DispatchError):
    """A recipe file that cannot be used; ``faults`` are sentences, with the line where that is known."""

    def __init__(self, file: Traversable, what: str, faults: list[str]) -> None:
        super().__init__(
            f"The recipe file {file} {what}: {'; '.join(faults)}.",
            still_works="All other recipes are used; a built-in recipe of the same name stays in force.",
            try_this="Correct the file; it is read again a moment later.",
        )
        self.faults = tuple(faults)
