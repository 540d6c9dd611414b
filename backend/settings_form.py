"""A section of the settings as a person fills it in: a text per field, and what is wrong with it in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from backend.settings_section import SettingsSection, may_be_empty, words_of

_RARE_UNIT = "1/100 h"
_RARE = re.compile(r"\s*(\S+)\s+in\s+(\S+?)\s*(?:h|hours?)?\s*", re.IGNORECASE)
_RARE_EXAMPLE = "1 in 100 h"
_UNIT_ENDINGS = (
    "_percent",
    "_photons_per_s",
    "_s",
    "_g_cm3",
    "_um",
    "_mm",
    "_m",
    "_per_100_h",
    "_inv_nm",
    "_px",
)
_YES_NO = ("yes", "no")
_LIMITS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}

Section = TypeVar("Section", bound=SettingsSection)


@dataclass(frozen=True, slots=True)
class FieldWords:
    """What stands beside a field.

    Attributes
    ----------
    name, title, effect, unit : str
        Key in the settings file, the same as words, its one-sentence effect, and its unit.
    default : str
        As :func:`text_of` writes it.
    limits : str
        Allowed range in words, unit included; empty where there is none.
    choices : tuple of str
        All values it may have; empty where it is free.
    """

    name: str
    title: str
    effect: str
    unit: str
    default: str
    limits: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilledIn(Generic[Section]):
    """A form that was read: the section, or what is wrong with which field (by name, in sentences)."""

    section: Section | None
    faults: dict[str, str]


def field_words(section: type[SettingsSection]) -> tuple[FieldWords, ...]:
    """All fields of a section in their order."""
    return tuple(
        FieldWords(
            name,
            _title(name),
            field.description or "",
            "" if _is_rare(field) else _unit(field),
            text_of(field, field.default),
            _limits(field),
            _choices(field),
        )
        for name, field in section.model_fields.items()
    )


def texts_of(section: SettingsSection) -> dict[str, str]:
    """The text of every field of a section, by name."""
    return {
        name: text_of(field, getattr(section, name)) for name, field in type(section).model_fields.items()
    }


def text_of(field: FieldInfo, value: Any) -> str:
    """A value as it is written into the form; a rate of rare events as "1 in 100 h"."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    if _is_rare(field):
        return f"1 in {100 / value:.12g} h"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def filled_in(before: Section, texts: Mapping[str, str]) -> FilledIn[Section]:
    """Read a form; a field whose text is that of ``before`` keeps its value to the last digit.

    Parameters
    ----------
    before : SettingsSection
        What the form began with.
    texts : mapping
        Text of every field by its name.
    """
    kind = type(before)
    known = texts_of(before)
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        if texts[name].strip() == known[name]:
            values[name] = getattr(before, name)
            continue
        try:
            values[name] = _value(field, texts[name].strip())
        except ValueError as error:
            faults[name] = str(error)
            values[name] = field.default
    try:
        section = kind.model_validate(values)
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0])
            faults[name] = _sentence(
                kind.model_fields[name], texts[name].strip(), fault["type"], fault["msg"]
            )
        return FilledIn(None, faults)
    return FilledIn(None if faults else section, faults)


def changes_between(before: SettingsSection, after: SettingsSection) -> dict[str, Any]:
    """Fields that differ, with their new value."""
    return {
        name: getattr(after, name)
        for name in type(before).model_fields
        if getattr(before, name) != getattr(after, name)
    }


def _value(field: FieldInfo, text: str) -> Any:
    if not text and may_be_empty(field):
        return None
    if field.annotation is bool:
        return text == "yes"
    if get_origin(field.annotation) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if not _is_rare(field):
        return text
    match = _RARE.fullmatch(text)
    try:
        number, hours = (float(part) for part in match.groups()) if match else (0.0, 0.0)
    except ValueError:
        number, hours = 0.0, 0.0
    if not (0 < number < float("inf") and 0 < hours < float("inf")):
        raise ValueError(f"'{text}' is no such rate. Write for instance: {_RARE_EXAMPLE}.")
    return 100 * number / hours


def _sentence(field: FieldInfo, text: str, kind: str, message: str) -> str:
    if kind in _OUT_OF_RANGE:
        return f"{text} is outside the range: {_limits(field)}."
    if not text:
        return f"It cannot be left empty; the default is {text_of(field, field.default)}."
    if kind.startswith("int"):
        return f"'{text}' is no whole number."
    if kind.startswith("float"):
        return f"'{text}' is no number."
    if kind == "value_error":
        # A check of the section's own, which says it all.
        return f"{words_of(message)}."
    return f"'{text}' cannot be used: {message}."


def _limits(field: FieldInfo) -> str:
    if _is_rare(field):
        return f"at most 1 in {100 / _largest(field):g} h"
    bounds = [
        f"{words} {value:.12g}"
        for constraint in field.metadata
        for name, words in _LIMITS.items()
        if (value := getattr(constraint, name, None)) is not None
    ]
    words = ", ".join(bounds)
    unit = _unit(field)
    return f"{words} {unit}" if words and unit else words


def _largest(field: FieldInfo) -> float:
    return next(float(limit.le) for limit in field.metadata if getattr(limit, "le", None) is not None)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    if field.annotation is bool:
        return _YES_NO
    return tuple(get_args(field.annotation)) if get_origin(field.annotation) is Literal else ()


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _is_rare(field: FieldInfo) -> bool:
    return _unit(field) == _RARE_UNIT


def _title(name: str) -> str:
    for ending in _UNIT_ENDINGS:
        name = name.removesuffix(ending)
    return name.replace("_", " ").capitalize()
