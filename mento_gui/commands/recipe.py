"""``mento-gui recipe``: what analyses there are, whether a recipe file is right, and a new one to begin with."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.dispatch.recipe import Recipe
    from backend.frames import SeriesInfo
    from backend.recipe_trial import RecipeTrial, TrialResult
    from backend.snapshot import JobRow

_EPILOG = """
\b
Examples:
  mento-gui recipe list
  mento-gui recipe new mine --like shell-script
  mento-gui recipe check /gpfs/current/shared/recipes/mine.toml
  mento-gui recipe on mine
"""
_LINES_OF_LOG = 15
_root = click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/gpfs"), show_default=True, metavar="DIR",
    help="Where current/ or commissioning/ stands.",
)  # fmt: skip


@click.group("recipe", epilog=_EPILOG)
def recipe() -> None:
    """List, check and begin recipes; choose which run by themselves for every series."""


@recipe.command("list")
@_root
def list_recipes(root: Path) -> None:
    """All recipes of the beamtime and the built-in ones, one per line; exit code 1 if a file cannot be used."""
    from backend.dispatch.recipe_folder import load_recipes
    from backend.errors import FeedbackError

    try:
        recipes, problems = load_recipes([_recipe_folder(root)])
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    running = _running(root)
    for name, entry in sorted(recipes.items()):
        runs = "" if running is None else "  runs for every series" if name in running else ""
        click.echo(f"{name:20} {entry.executor:6} {entry.title}{runs}\n    {entry.description}")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


@recipe.command("new")
@click.argument("name")
@click.option(
    "--like", default="shell-script", show_default=True, metavar="RECIPE", help="Recipe to begin with."
)
@_root
def new_recipe(name: str, like: str, root: Path) -> None:
    """Write a recipe NAME into shared/recipes of the beamtime, to be edited; nothing is replaced."""
    from backend.dispatch.folders import make_folder
    from backend.dispatch.recipe_folder import recipe_text_like
    from backend.errors import FeedbackError

    try:
        folder = _recipe_folder(root)
        text = recipe_text_like(like, name, [folder])
        make_folder(folder)
        file = folder / f"{name}.toml"
        with open(file, "x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise click.ClickException(
            f"There is a recipe file {folder / name}.toml already; it stays as it is."
        ) from error
    except OSError as error:
        raise click.ClickException(f"The recipe cannot be written: {error}.") from error
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}\nEdit it, then: mento-gui recipe check {file}")


@recipe.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_root
@click.option(
    "--settings", "settings_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Settings as TOML, as for the backend.",
)  # fmt: skip
@click.option(
    "--on", "series", type=click.Path(exists=True, path_type=Path), default=None, metavar="SERIES",
    help="Master file or folder of the series to try it on; else the newest one.",
)  # fmt: skip
@click.option("--no-run", is_flag=True, help="Only read the file and show the script.")
def check_recipe(
    file: Path, root: Path, settings_file: Path | None, series: Path | None, no_run: bool
) -> None:
    """Check a recipe FILE: read it, show the exact script, and run it on the newest series into a scratch folder.

    Nothing is written into processed/. Exit code 1 when the file cannot be used or the run fails.
    """
    from backend.errors import FeedbackError

    chosen = _read(file)
    try:
        trial, info = _trial(chosen, root, settings_file, series)
        click.echo(trial.script())
        if no_run:
            return
        click.echo(f"\nRunning it on {info.name} ...")
        ended = _run(trial)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    _tell(ended)


def _read(file: Path) -> Recipe:
    from backend.dispatch.recipe_folder import RecipeError, load_recipes, read_recipe
    from backend.dispatch.recipe_lint import recipe_warnings

    try:
        chosen = read_recipe(file)
    except RecipeError as error:
        for fault in error.faults:
            click.echo(f"{file}: {fault}", err=True)
        raise click.ClickException("The recipe cannot be used.") from error
    click.echo(f"{file}: {chosen.name}, {chosen.title}: it can be used.")
    for warning in recipe_warnings(chosen, load_recipes()[0]):
        click.echo(f"Note: {warning}")
    return chosen


def _trial(
    chosen: Recipe, root: Path, settings_file: Path | None, series: Path | None
) -> tuple[RecipeTrial, SeriesInfo]:
    from backend.beamtime.folder import find_beamtime_folder
    from backend.recipe_trial import RecipeTrial, last_series, recorded_series
    from backend.settings import load_settings

    settings = load_settings(settings_file)
    folder = find_beamtime_folder(root.absolute())
    info = last_series(folder, settings) if series is None else recorded_series(series, settings)
    if not chosen.applies(info, info.expected_frames or 1):
        click.echo(f"Note: by applies_to it is not meant for {info.name}.")
    return RecipeTrial(chosen, info, folder, settings, settings_file), info


def _run(trial: RecipeTrial) -> TrialResult:
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        return trial.run(_change_teller(), stop)
    finally:
        signal.signal(signal.SIGINT, before)


def _change_teller() -> Callable[[JobRow], None]:
    said = ""

    def tell(row: JobRow) -> None:
        nonlocal said
        words = f"  {row.state}: {row.reason}"
        if words != said:
            said = words
            click.echo(words)

    return tell


def _tell(ended: TrialResult) -> None:
    for output in ended.row.outputs:
        click.echo(f"  {output.title} ({output.kind}): {output.path}")
    click.echo(f"Log: {ended.log}\nEverything of this trial is in {ended.folder}")
    if ended.row.state != "done":
        for line in _last_lines(ended.log):
            click.echo(f"  | {line}", err=True)
        raise click.ClickException(f"{ended.row.reason} {ended.row.try_this}".strip())


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_LOG:]
    except OSError as error:
        return [f"The log cannot be read: {error.strerror}"]


@recipe.command("on")
@click.argument("name")
@_root
def switch_on(name: str, root: Path) -> None:
    """Let recipe NAME run by itself for every coming series; remembered for this beamtime."""
    _choose(name, root, runs=True)
    click.echo(f"{name} runs for every coming series.")


@recipe.command("off")
@click.argument("name")
@_root
def switch_off(name: str, root: Path) -> None:
    """Let recipe NAME no longer run by itself."""
    _choose(name, root, runs=False)
    click.echo(f"{name} no longer runs by itself.")


def _choose(name: str, root: Path, *, runs: bool) -> None:
    from backend.errors import BackendUnreachableError
    from backend.publish.client import BackendClient
    from backend.publish.endpoint import endpoint_of
    from backend.requests import ChooseRecipe

    root = root.absolute()
    if not endpoint_of(root).exists:
        raise click.ClickException(
            f"No backend runs for {root} on this host. Start one with: mento-gui --backend-only --root {root}"
        )
    try:
        with closing(BackendClient(root)) as client:
            reply = client.ask(ChooseRecipe(recipe=name, runs=runs), timeout_s=3.0)
    except BackendUnreachableError as error:
        raise click.ClickException(str(error)) from error
    if not reply.ok:
        raise click.ClickException(f"{reply.message} {reply.try_this}".strip())


def _running(root: Path) -> tuple[str, ...] | None:
    """Names of the recipes that run by themselves; ``None`` when no backend answers."""
    import json

    from backend.errors import BackendUnreachableError
    from backend.publish.client import BackendClient
    from backend.publish.endpoint import endpoint_of
    from backend.requests import GetStatus

    if not endpoint_of(root.absolute()).exists:
        return None
    try:
        with closing(BackendClient(root.absolute())) as client:
            reply = client.ask(GetStatus(), timeout_s=3.0)
    except BackendUnreachableError:
        # The list of files is complete without it.
        return None
    rows = json.loads(reply.payload)["recipes"] if reply.payload else []
    return tuple(row["name"] for row in rows if row["runs"])


def _recipe_folder(root: Path) -> Path:
    from backend.beamtime.folder import find_beamtime_folder

    return find_beamtime_folder(root.absolute()).shared / "recipes"
