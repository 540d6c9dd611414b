"""The button over the tables with all recipes: a tick means that it runs for every coming series."""

from __future__ import annotations

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import QAction, QMenu, QToolButton, QWidget

from backend.requests import ChooseRecipe
from backend.snapshot import RecipeRow, Snapshot


class RecipeMenu(QToolButton):
    """``wish`` is the request to let a recipe run by itself, or no longer."""

    wish = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText("Recipes")
        self.setToolTip("Analyses of this beamtime; ticked ones run by themselves for every coming series.")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setProperty("help", "tables")
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self.setMenu(self._menu)
        self._rows: tuple[RecipeRow, ...] = ()
        self.setEnabled(False)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """List the recipes of ``snapshot``; an open menu stays as it is."""
        if snapshot.recipes == self._rows or self._menu.isVisible():
            return
        self._rows = snapshot.recipes
        self.setEnabled(bool(self._rows))
        running = sum(row.runs for row in self._rows)
        self.setText(f"Recipes ({running} on)" if running else "Recipes")
        self._menu.clear()
        for row in self._rows:
            self._menu.addAction(self._entry(row))

    def _entry(self, row: RecipeRow) -> QAction:
        where = "on the cluster" if row.executor == "slurm" else "on this computer"
        entry = QAction(f"{row.title} ({row.name}, {where})", self._menu)
        entry.setToolTip(f"{row.description} {row.problem}".strip())
        entry.setCheckable(True)
        entry.setChecked(row.runs)
        # One that runs but cannot is still to be switched off.
        entry.setEnabled(row.runs or not row.problem)
        entry.triggered.connect(lambda runs, name=row.name: self._choose(name, runs))
        return entry

    def _choose(self, name: str, runs: bool) -> None:
        self.wish.emit(ChooseRecipe(recipe=name, runs=runs))
        # Until the backend has said so, the menu shows what holds.
        self._rows = ()
