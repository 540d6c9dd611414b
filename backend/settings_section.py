"""What a section of the settings is made of: fields with unit, range, default and effect."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def setting(default: Any, effect: str, *, unit: str = "", **limits: Any) -> Any:
    """Field with its one-sentence effect, its unit and its limits (those of pydantic)."""
    return Field(
        default, description=effect, json_schema_extra={"unit": unit}, validate_default=True, **limits
    )


class SettingsSection(BaseModel):
    """Base of all sections: frozen, and a field that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")
