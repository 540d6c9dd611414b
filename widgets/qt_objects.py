"""Objects that Qt always has but whose type hints allow ``None``; and menu entries with their tooltip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PyQt5.QtWidgets import QAction, QMenu

Thing = TypeVar("Thing")


def existing(thing: Thing | None) -> Thing:
    """``thing`` itself; it is an error of the program if it is not there."""
    if thing is None:
        raise RuntimeError("Qt returned nothing where it always has an object")
    return thing


def add_entry(
    menu: QMenu, text: str, tooltip: str, does: Callable[[], object], *, enabled: bool = True
) -> QAction:
    """Add one entry to a context menu and return it."""
    entry = QAction(text, menu)
    entry.setToolTip(tooltip)
    entry.setEnabled(enabled)

    def run(_checked: bool) -> None:
        does()

    entry.triggered.connect(run)
    menu.addAction(entry)
    return entry
