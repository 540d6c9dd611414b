"""Single settings changed by name, as in ``damage.structure_tolerance_percent=3``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.exceptions import ParseError
from tomlkit.items import Table

from backend.errors import SettingsError
from backend.settings import Settings
from backend.settings_section import may_be_empty, words_of
from backend.whole_file import write_whole_text

_NOTHING_CHANGED = "Nothing was changed."


def known_keys() -> dict[str, tuple[str, ...]]:
    """Names of the settings in each section of the settings file."""
    return {
        section: tuple(type(getattr(Settings(), section)).model_fields) for section in Settings.model_fields
    }


def with_changes(settings: Settings, changes: Iterable[str]) -> Settings:
    """The settings with each ``KEY=VALUE`` of ``changes``; later ones win.

    KEY is section and name with a dot between them, VALUE is written as in the settings file; text may go without
    quotes, and what may be left empty is emptied without a VALUE.

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
        field = type(getattr(settings, section)).model_fields[name]
        values[section][name] = None if not text.strip() and may_be_empty(field) else _value_of(text.strip())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}={fault['input']}: {words_of(fault['msg'])}"
            for fault in error.errors()
        )
        raise _refused(f"A value cannot be used: {faults}", "Take a value within the limit.") from error


def write_into_file(path: Path, changes: Mapping[str, Mapping[str, Any]], comment: str) -> None:
    """Set values in a settings file, each with a comment behind it; everything else in it stays as it is.

    ``None`` takes a line away. The file is replaced as a whole, and made if there is none.

    Parameters
    ----------
    changes : mapping
        Values by their name, in a mapping by their section.

    Raises
    ------
    SettingsError
        The file cannot be read or written, is not TOML, or would hold values that cannot be used.
    """
    for section, values in changes.items():
        for name in values:
            _check_key(section, name)
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        for section, values in changes.items():
            if values:
                _write_section(path, document, section, values, comment)
        text = tomlkit.dumps(document)
        Settings.model_validate(tomllib.loads(text))
        write_whole_text(path, text)
    except (ParseError, UnicodeDecodeError) as error:
        raise _refused(f"The settings file {path} is not valid TOML: {error}", "Mend it.") from error
    except ValidationError as error:
        raise _refused(
            f"The settings file {path} has values that cannot be used: {error}", "Mend it."
        ) from error
    except OSError as error:
        raise _refused(
            f"The settings file {path} cannot be written: {error.strerror or error}",
            "Check the path and its rights.",
        ) from error


def _write_section(
    path: Path, document: tomlkit.TOMLDocument, section: str, values: Mapping[str, Any], comment: str
) -> None:
    table = document.setdefault(section, tomlkit.table())
    if not isinstance(table, Table):
        raise _refused(f"'{section}' in {path} is no section", f"Write [{section}] on a line of its own.")
    for name, value in values.items():
        if value is None:
            table.pop(name, None)
            continue
        item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
        item.comment(comment)
        table[name] = item


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
