"""Define the base class of request bodies, which determines how JSON values become fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from query_api.errors import BadRequestError

_SURROGATE: Final = "the text contains a lone surrogate, so it is not Unicode"


class Body(BaseModel):
    """The body of a request. Values are not converted: neither `true` nor `"1"` is a number."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _require_unicode(cls, given: object) -> object:
        """Refuse lone surrogates in every text, because records and responses are UTF-8.

        Raises:
            BadRequestError: the error names the text.
        """
        path = _not_unicode(given)
        if path is not None:
            field = path.encode(errors="replace").decode()
            raise BadRequestError(f"{field}: {_SURROGATE}", field=field)
        return given


def _not_unicode(given: object) -> str | None:
    """Return the path of a text that UTF-8 cannot represent; None if there is none."""
    pending: list[tuple[str, object]] = [("", given)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str):
            if not value.isascii() and not _is_unicode(value):
                return path or "body"
        elif isinstance(value, dict):
            for name, each in value.items():
                inner = f"{path}.{name}" if path else str(name)
                pending += [(inner, each), (inner, name)]
        elif isinstance(value, list):
            pending += [(f"{path}.{index}", each) for index, each in enumerate(value)]
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def of_changes(*examples: Any) -> Callable[[dict[str, Any]], None]:
    """Return ``json_schema_extra`` of a body in which absent fields do not change: no defaults."""

    def without_defaults(schema: dict[str, Any]) -> None:
        schema["examples"] = list(examples)
        for field in schema["properties"].values():
            field.pop("default", None)

    return without_defaults


def require_unicode(text: str) -> str:
    """Refuse a text that UTF-8 cannot represent."""
    if not _is_unicode(text):
        raise ValueError(_SURROGATE)
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
