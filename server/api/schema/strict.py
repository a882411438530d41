"""What the objects of a request have in common: strict types, and errors that name the field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Closed(BaseModel):
    """Refuses unknown fields with an error that lists the known ones."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, value: Any) -> Any:
        unknown = sorted(value.keys() - cls.model_fields.keys()) if isinstance(value, dict) else []
        if unknown:
            known = ", ".join(sorted(cls.model_fields))
            raise PydanticCustomError(
                "unknown_field",
                "unknown field; the fields known here are {known}",
                {"field": unknown[0][:60], "known": known},
            )
        return value


def contradiction(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("contradiction", "{what}", {"field": field, "what": message})
