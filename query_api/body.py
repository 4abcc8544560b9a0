"""Define the base class of request bodies, and types of JSON values that can be stored."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict


class Body(BaseModel):
    """The body of a request. Values are not converted: neither `true` nor `"1"` is a number."""

    model_config = ConfigDict(strict=True)


def _require_storable(value: Any) -> Any:
    """Refuse what JSON cannot represent, which encoders would replace by null.

    Python's parser accepts `NaN`, and turns numbers beyond the range of doubles into infinity.
    """
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
        elif isinstance(each, float) and not math.isfinite(each):
            raise ValueError("numbers must be within the range of doubles (about 1.8e308)")
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it cannot be stored as JSON: {error}") from error
    return value


AnyJson = Annotated[Any, AfterValidator(_require_storable)]
"""Any JSON value that can be stored unchanged."""
JsonObject = Annotated[dict[str, Any], AfterValidator(_require_storable)]
"""A JSON object whose values can be stored unchanged."""
