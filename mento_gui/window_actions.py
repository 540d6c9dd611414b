"""Menus and keys of the window. Only what works is listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QAction, QMainWindow

from widgets.qt_objects import existing


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """One menu entry: where it is listed, what it says, its key, what it does and a sentence about it."""

    menu: str
    text: str
    key: str
    does: Callable[[], object]
    tooltip: str


def add_actions(window: QMainWindow, plans: list[ActionPlan]) -> dict[str, QAction]:
    """Fill the menu bar in the order of ``plans`` and return the actions by their text."""
    actions: dict[str, QAction] = {}
    menus = {}
    for plan in plans:
        if plan.menu not in menus:
            menus[plan.menu] = existing(existing(window.menuBar()).addMenu(plan.menu))
            menus[plan.menu].setToolTipsVisible(True)
        action = QAction(plan.text, window)
        action.setShortcut(QKeySequence(plan.key))
        action.setToolTip(plan.tooltip)
        action.setStatusTip(plan.tooltip)
        action.triggered.connect(lambda _checked, does=plan.does: does())
        menus[plan.menu].addAction(action)
        actions[plan.text] = action
    return actions
