"""All colours of the window in one table, and how they reach Qt.

State colours are the Okabe-Ito set, which stays apart for red-green weak eyes; everything that is normal is grey.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.resources import files

from PyQt5.QtGui import QColor, QPalette
from PyQt5.QtWidgets import QApplication


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, each ``#RRGGBB``.

    ``good``, ``watch``, ``alarm`` and ``unknown`` are for states alone. ``on_state`` is text on a block of state
    colour. ``curve_low``/``curve_high`` are the share of the q colour map that can be read on ``plot``.
    """

    name: str
    window: str
    panel: str
    raised: str
    border: str
    text: str
    quiet: str
    plot: str
    grid: str
    highlight: str
    good: str
    watch: str
    alarm: str
    unknown: str
    on_state: str
    curve_low: float
    curve_high: float


DARK = Theme(
    name="dark",
    window="#16191D",
    panel="#22262B",
    raised="#2E343B",
    border="#3A4149",
    text="#D7DADD",
    quiet="#9AA1A9",
    plot="#1B1F23",
    grid="#343A41",
    highlight="#FFFFFF",
    good="#56B4E9",
    watch="#F0E442",
    alarm="#D55E00",
    unknown="#999999",
    on_state="#16191D",
    curve_low=0.38,
    curve_high=0.92,
)

LIGHT = Theme(
    name="light",
    window="#ECEEF0",
    panel="#FFFFFF",
    raised="#E3E6E9",
    border="#C3C8CD",
    text="#1D2126",
    quiet="#5A6169",
    plot="#FFFFFF",
    grid="#DADEE2",
    highlight="#000000",
    good="#0072B2",
    watch="#F0E442",
    alarm="#D55E00",
    unknown="#6E747B",
    on_state="#16191D",
    curve_low=0.05,
    curve_high=0.75,
)


def other_theme(theme: Theme) -> Theme:
    """The light theme for the dark one and the other way round."""
    return LIGHT if theme.name == DARK.name else DARK


def theme_named(name: str) -> Theme:
    """The theme of that name; dark for a name nobody knows, as the hutch is dark."""
    return LIGHT if name == LIGHT.name else DARK


def style_sheet(theme: Theme) -> str:
    """The Qt style sheet with every ``@name`` replaced by that colour of the theme."""
    text = (files("resources") / "style.css").read_text(encoding="utf-8")
    for field in sorted(fields(theme), key=lambda field: -len(field.name)):
        text = text.replace(f"@{field.name}", str(getattr(theme, field.name)))
    return text


def apply_theme(application: QApplication, theme: Theme) -> None:
    """Give palette and style sheet of the theme to the whole program."""
    application.setPalette(_palette(theme))
    application.setStyleSheet(style_sheet(theme))


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.Window: theme.window,
        QPalette.Base: theme.panel,
        QPalette.AlternateBase: theme.window,
        QPalette.Button: theme.raised,
        QPalette.ToolTipBase: theme.raised,
        QPalette.Highlight: theme.border,
        QPalette.WindowText: theme.text,
        QPalette.Text: theme.text,
        QPalette.ButtonText: theme.text,
        QPalette.ToolTipText: theme.text,
        QPalette.HighlightedText: theme.highlight,
        QPalette.PlaceholderText: theme.quiet,
        QPalette.Link: theme.text,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.WindowText, QPalette.Text, QPalette.ButtonText):
        palette.setColor(QPalette.Disabled, role, QColor(theme.quiet))
    return palette
