"""The recipes of a beamtime, and which of them run by themselves for every coming series."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping

from backend.dispatch.recipe import EveryFrames, Recipe
from backend.errors import DispatchError
from backend.ledger import Ledger
from backend.snapshot import RecipeRow


class RecipeBook:
    """Recipes by name; may be asked from several threads.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        By name.
    usual : iterable of str
        Names of those that run by themselves unless a person chose otherwise; the settings say them.
    ledger : Ledger
        Remembers what a person chose.
    executors : collection of str
        Names of the executors that are set up.
    """

    def __init__(
        self, recipes: Mapping[str, Recipe], usual: Iterable[str], ledger: Ledger, executors: Collection[str]
    ) -> None:
        self._recipes = dict(recipes)
        self._usual = tuple(usual)
        self._ledger = ledger
        self._executors = executors
        self._lock = threading.Lock()
        self._chosen = ledger.recipe_choices()

    def replace(self, recipes: Mapping[str, Recipe]) -> None:
        """These recipes are there now."""
        with self._lock:
            self._recipes = dict(recipes)

    def find(self, name: str) -> Recipe | None:
        """Recipe of this name, ``None`` if there is none any more."""
        return self._recipes.get(name)

    def __getitem__(self, name: str) -> Recipe:
        """Recipe of this name.

        Raises
        ------
        DispatchError
            There is none, or what runs it is not set up.
        """
        recipe = self._recipes.get(name)
        if recipe is None:
            raise DispatchError(
                f"There is no recipe {name}; known are {', '.join(sorted(self._recipes)) or 'none'}.",
                still_works="The live analysis and other recipes are not affected.",
                try_this="Correct the name in the settings, or add the recipe file to shared/recipes of the beamtime.",
            )
        self.check_executor(recipe)
        return recipe

    def check_executor(self, recipe: Recipe) -> None:
        """Say so if what is to run a recipe is not set up.

        Raises
        ------
        DispatchError
            It is not.
        """
        if recipe.executor not in self._executors:
            raise DispatchError(
                f"The recipe {recipe.name} is for the executor {recipe.executor}, which is not set up here.",
                still_works="The live analysis and other recipes are not affected.",
                try_this='See the message about the cluster, or write executor = "local" in the recipe.',
            )

    def choose(self, name: str, runs: bool, at: float) -> None:
        """Let a recipe run by itself for every coming series, or no longer; remembered for the beamtime.

        Raises
        ------
        DispatchError
            There is no such recipe.
        LedgerError
            The choice cannot be stored.
        """
        if runs:
            self[name]
        self._ledger.record_recipe_choice(name, runs, at)
        with self._lock:
            self._chosen[name] = runs

    def that_run(self) -> tuple[str, ...]:
        """Names of the recipes that run by themselves; one of the settings may have no file."""
        with self._lock:
            names = dict.fromkeys((*self._usual, *(name for name in self._chosen if name in self._recipes)))
            return tuple(name for name in names if self._chosen.get(name, name in self._usual))

    def that_run_again_and_again(self) -> tuple[tuple[Recipe, int], ...]:
        """Those of them that run every so many frames, with that number."""
        recipes = self._recipes
        chosen = [recipes[name] for name in self.that_run() if name in recipes]
        return tuple(
            (recipe, recipe.when.every_frames) for recipe in chosen if isinstance(recipe.when, EveryFrames)
        )

    def rows(self) -> tuple[RecipeRow, ...]:
        """All recipes for the window, in order of their names."""
        running = self.that_run()
        return tuple(
            RecipeRow(
                name=recipe.name,
                title=recipe.title,
                description=recipe.description,
                executor=recipe.executor,
                runs=recipe.name in running,
                problem="" if recipe.executor in self._executors else f"{recipe.executor} is not set up here",
            )
            for _, recipe in sorted(self._recipes.items())
        )
