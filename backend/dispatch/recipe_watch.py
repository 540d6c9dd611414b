"""Follows the recipe files of a beamtime: a file that is dropped, corrected or taken away counts a moment later."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from backend.dispatch.recipe import Recipe
from backend.dispatch.recipe_folder import load_recipes
from backend.frames import SourceNotice

_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class RecipesNow:
    """All recipes by name, and what became wrong or was mended since the last look."""

    recipes: dict[str, Recipe]
    notices: tuple[SourceNotice, ...]


class RecipeWatch:
    """Looks at one folder of recipes, which may not exist yet, besides the built-in ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._told: frozenset[str] = frozenset()
        self._next_look_at = 0.0

    def look(self) -> RecipesNow | None:
        """The recipes if a file changed since the last call; cheap, to be called often."""
        if time.monotonic() < self._next_look_at:
            return None
        self._next_look_at = time.monotonic() + _LOOK_S
        seen = self._files()
        if seen == self._seen:
            return None
        self._seen = seen
        recipes, problems = load_recipes([self._folder])
        notices = {
            f"recipe-{problem.what}": SourceNotice(
                f"recipe-{problem.what}", "warning", problem.what, problem.still_works, problem.try_this
            )
            for problem in problems
        }
        mended = tuple(SourceNotice(key, "info", "") for key in self._told if key not in notices)
        new = tuple(notice for key, notice in notices.items() if key not in self._told)
        self._told = frozenset(notices)
        return RecipesNow(recipes, mended + new)

    def _files(self) -> tuple[tuple[str, int, int], ...]:
        """Name, time of change and size of each recipe file; what cannot be looked at is told by whoever reads it."""
        found = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".toml"):
                        state = entry.stat()
                        found.append((entry.name, state.st_mtime_ns, state.st_size))
        except OSError:
            # No such folder is the usual case; any other trouble is told when the recipes are loaded.
            return ()
        return tuple(sorted(found))
