"""The settings that a running backend works with: a series keeps those of its start, the next one takes the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.settings import Settings, load_settings

OF_A_SERIES = ("geometry", "rings", "mask", "correlation", "two_time", "damage", "dose")
"""Sections that are read anew at the start of each series; the others hold from the start of the backend on."""


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What a settings file would change.

    Attributes
    ----------
    settings : Settings
        Those of the next series.
    file : Path
        Where they come from.
    changed : tuple of str
        Key, value before and value after, of what holds from the next series on.
    at_next_start : tuple of str
        The same of what holds only when the backend is started again.
    """

    settings: Settings
    file: Path
    changed: tuple[str, ...]
    at_next_start: tuple[str, ...]

    @property
    def words(self) -> str:
        """What changes and when."""
        parts = []
        if self.changed:
            parts.append(f"From the next series on: {', '.join(self.changed)}.")
        if self.at_next_start:
            parts.append(f"When the backend is started again: {', '.join(self.at_next_start)}.")
        return " ".join(parts) or "Nothing in the settings has changed."


class SettingsInUse:
    """What holds now.

    Attributes
    ----------
    settings : Settings
        Of the next series.
    file : Path or None
        Where they came from.
    """

    def __init__(self, settings: Settings, file: Path | None) -> None:
        self.settings = settings
        self.file = file

    def look_at(self, file: Path) -> SettingsChange:
        """What ``file`` would change; nothing is changed yet.

        Raises
        ------
        SettingsError
            The file cannot be read, or holds values that cannot be used.
        """
        written = load_settings(file)
        sections = {name: getattr(written, name) for name in OF_A_SERIES}
        return SettingsChange(
            self.settings.model_copy(update=sections),
            file,
            tuple(_differences(self.settings, written, OF_A_SERIES)),
            tuple(
                _differences(
                    self.settings,
                    written,
                    [name for name in Settings.model_fields if name not in OF_A_SERIES],
                )
            ),
        )

    def take(self, change: SettingsChange) -> None:
        """Use it from the next series on."""
        self.settings, self.file = change.settings, change.file


def _differences(before: Settings, after: Settings, sections: tuple[str, ...] | list[str]) -> list[str]:
    found = []
    for section in sections:
        old, new = getattr(before, section), getattr(after, section)
        for name in type(old).model_fields:
            if getattr(old, name) != getattr(new, name):
                found.append(f"{section}.{name} {_words(getattr(old, name))} -> {_words(getattr(new, name))}")
    return found


def _words(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, float):
        return f"{value:.12g}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
