"""Report the faults of a form by the names of its fields, and read JSON and numbers in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from producers.errors import ControlError, ForbiddenError
from query_api.console import form_bodies
from query_api.console.edit_forms import STALE, StaleFormError
from query_api.console.form_bodies import Faults, FormError
from query_api.errors import QueryApiError

REFUSALS: Final = (QueryApiError, ForbiddenError, ControlError)
"""Errors that a form shows."""
BodyT = TypeVar("BodyT", bound=BaseModel)
_decode: Callable[[str], Any] = msgspec.json.decode


def body_with_field_faults(body: type[BodyT], given: Mapping[str, Any]) -> BodyT:
    """Return the body of a request; the faults have the names of the fields of a form.

    These are the first parts of the paths of the body, in snake case.

    Raises:
        FormError: a value is invalid, as it would be in the API.
    """
    try:
        return form_bodies.body_of(body, given)
    except FormError as error:
        raise FormError(_placed(error.faults)) from error


def faults_of(error: Exception) -> Faults:
    """Return the messages of a refusal by the fields that it names."""
    if isinstance(error, FormError):
        return error.faults
    if isinstance(error, QueryApiError):
        return _placed(form_bodies.faults_of(error))
    return {"": str(error)}


def status_of(error: Exception) -> int:
    """Return the status of the page that shows a form again."""
    if isinstance(error, StaleFormError):
        return STALE
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


def number_of(text: str, field: str) -> float:
    """Return the number in a field.

    Raises:
        FormError: it is not a number, or not a finite one.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormError({field: f"{text[:64]!r} is not a number"})
    return number


def _placed(faults: Faults) -> Faults:
    """Return messages by the fields of a form; some name their field only in the message."""
    found: Faults = {}
    for path, message in faults.items():
        name, text = to_snake(path.partition(".")[0]), message
        field, separator, rest = message.partition(": ")
        if not name and separator and field.isidentifier():
            name, text = to_snake(field), rest
        found.setdefault(name, text)
    return found
