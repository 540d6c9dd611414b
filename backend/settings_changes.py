"""Single settings changed by name, as in ``damage.structure_tolerance_percent=3``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.exceptions import ParseError

from backend.errors import SettingsError
from backend.settings import Settings

_NOTHING_CHANGED = "Nothing was changed."


def known_keys() -> dict[str, tuple[str, ...]]:
    """Names of the settings in each section of the settings file."""
    return {
        section: tuple(type(getattr(Settings(), section)).model_fields) for section in Settings.model_fields
    }


def with_changes(settings: Settings, changes: Iterable[str]) -> Settings:
    """The settings with each ``KEY=VALUE`` of ``changes``; later ones win.

    KEY is section and name with a dot between them, VALUE is written as in the settings file; text may go without
    quotes.

    Raises
    ------
    SettingsError
        A key is unknown, or a value out of range; names the known keys or the limit.
    """
    values = settings.model_dump()
    for change in changes:
        key, equals, text = change.partition("=")
        section, _, name = key.strip().partition(".")
        if not equals:
            raise _refused(f"'{change}' is not KEY=VALUE", "Write for instance rings.count=20.")
        _check_key(section, name)
        values[section][name] = _value_of(text.strip())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}={fault['input']}: {fault['msg']}"
            for fault in error.errors()
        )
        raise _refused(f"A value cannot be used: {faults}", "Take a value within the limit.") from error


def _check_key(section: str, name: str) -> None:
    known = known_keys()
    if section not in known:
        raise _refused(
            f"There is no setting '{section}.{name}', and no section '{section}'",
            f"Known sections: {', '.join(known)}.",
        )
    if name not in known[section]:
        raise _refused(
            f"There is no setting '{section}.{name}'",
            f"Known ones: {', '.join(f'{section}.{other}' for other in known[section])}.",
        )


def _value_of(text: str) -> Any:
    try:
        return tomlkit.value(text).unwrap()
    except ParseError:
        return text


def _refused(what: str, try_this: str) -> SettingsError:
    return SettingsError(f"{what}.", still_works=_NOTHING_CHANGED, try_this=try_this)
