"""Define the base class of request bodies, which determines how JSON values become fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict


class Body(BaseModel):
    """The body of a request. Values are not converted: neither `true` nor `"1"` is a number."""

    model_config = ConfigDict(strict=True)


def of_changes(*examples: Any) -> Callable[[dict[str, Any]], None]:
    """Return ``json_schema_extra`` of a body in which absent fields do not change: no defaults."""

    def without_defaults(schema: dict[str, Any]) -> None:
        schema["examples"] = list(examples)
        for field in schema["properties"].values():
            field.pop("default", None)

    return without_defaults


def require_unicode(text: str) -> str:
    """Refuse a text that UTF-8 cannot represent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text contains a lone surrogate, so it is not Unicode") from None
    return text


def _require_storable(value: Any) -> Any:
    """Refuse what JSON cannot represent, which encoders would replace by null.

    Python's parser accepts `NaN`, and converts numbers beyond the range of doubles to infinity.
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
