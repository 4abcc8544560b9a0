"""Report which field of a form is invalid, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake

from producers.errors import ControlError, ForbiddenError
from query_api.errors import BadRequestError, QueryApiError
from query_api.validation_messages import message_of

ANY: Final = ""
"""Name of the faults that concern no single field."""
REFUSALS: Final = (QueryApiError, ForbiddenError, ControlError)
"""Errors that a form shows."""
BodyT = TypeVar("BodyT", bound=BaseModel)
Faults = Mapping[str, str]
"""Messages by the names of fields."""


class FormError(Exception):
    """Fields of a form are invalid."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("; ".join(faults.values()))
        self.faults = faults


def body_of(body: type[BodyT], given: Mapping[str, Any]) -> BodyT:
    """Return the body of a request of the API from the values of a form.

    Raises:
        FormError: a value is invalid, as it would be in the API.
    """
    try:
        return body.model_validate(given)
    except BadRequestError as error:
        raise FormError(faults_of(error)) from error
    except ValidationError as error:
        faults: dict[str, str] = {}
        for issue in error.errors():
            name = to_snake(str(issue["loc"][0])) if issue["loc"] else ANY
            faults.setdefault(name, message_of(issue))
        raise FormError(_placed(faults)) from error


def faults_of(error: Exception) -> Faults:
    """Return the message of a refusal by the field that it names."""
    field = to_snake(getattr(error, "field", "").partition(".")[0])
    return _placed({field: str(error)})


def status_of(error: Exception) -> int:
    """Return the status of the page that shows a form again."""
    if isinstance(error, FormError):
        return 422
    if isinstance(error, ForbiddenError):
        return 403
    return error.status if isinstance(error, QueryApiError) else 503


def json_field(form: Mapping[str, str], name: str, *, otherwise: Any = None) -> Any:
    """Return the value of a field with JSON; ``otherwise`` if it is empty.

    Raises:
        FormError: it is not JSON.
    """
    text = form.get(name, "").strip()
    if not text:
        return otherwise
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise FormError({name: f"this is not JSON: {error}"}) from error


def words_of(text: str) -> list[str]:
    """Return the parts of a text between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


_decode: Callable[[str], Any] = msgspec.json.decode


def _placed(faults: Faults) -> Faults:
    """Return messages without the field at their beginning, by that field."""
    found: dict[str, str] = {}
    for name, message in faults.items():
        field, separator, rest = message.partition(": ")
        named = to_snake(field) if separator and field.isidentifier() else ""
        if named and name in {ANY, named}:
            found[named] = rest
        else:
            found[name] = message
    return found
