"""What a section of the settings is made of: fields with unit, range, default and effect."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


def setting(default: Any, effect: str, *, unit: str = "", **limits: Any) -> Any:
    """Field with its one-sentence effect, its unit and its limits (those of pydantic)."""
    return Field(
        default, description=effect, json_schema_extra={"unit": unit}, validate_default=True, **limits
    )


def may_be_empty(field: FieldInfo) -> bool:
    """True where the setting may be left empty, which is ``None``."""
    return type(None) in get_args(field.annotation)


def words_of(message: str) -> str:
    """A message of pydantic without its mark for sentences of our own checks."""
    return message.removeprefix("Value error, ")


class SettingsSection(BaseModel):
    """Base of all sections: frozen, and a field that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
