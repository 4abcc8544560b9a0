"""Convert forms to the bodies of the API's requests, and errors to messages about fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from query_api.errors import BadRequestError, QueryApiError
from query_api.validation_messages import message_of

BodyT = TypeVar("BodyT", bound=BaseModel)
Faults = dict[str, str]
"""Messages by the name of the field; that of the empty name is about the whole form."""
VERSION: Final = "version"
"""Field of the version of a record that a form shows."""
LINES_MAX: Final = 1_100
"""Maximum number of lines of a field that has one entry a line."""
WHOLE_DIGITS_MAX: Final = 15
"""Maximum number of digits of a whole number, so that it is below 2^53."""


class FormError(BadRequestError):
    """A form, or a query string, is not a valid body. Forms are shown again with the faults."""

    def __init__(self, faults: Faults) -> None:
        texts = (f"{name}: {text}" if name else text for name, text in faults.items())
        super().__init__("; ".join(texts), field=next(iter(faults), ""))
        self.faults: Final = faults


def body_of(body: type[BodyT], values: Mapping[str, Any]) -> BodyT:
    """Return the body of a request with these values, as the API would read it from JSON.

    Raises:
        FormError: they are not valid.
    """
    try:
        return body.model_validate(values)
    except ValidationError as error:
        faults: Faults = {}
        for issue in error.errors():
            name = ".".join(map(str, issue["loc"]))
            faults.setdefault(name, _message(issue))
        raise FormError(faults) from error
    except BadRequestError as error:
        raise FormError(faults_of(error)) from error


def faults_of(error: QueryApiError, prefix: str = "") -> Faults:
    """Return the messages of an error by field; its path may begin with ``prefix``."""
    if isinstance(error, FormError):
        return error.faults
    field = error.field if isinstance(error, BadRequestError) else ""
    message = error.message.removeprefix(f"{field}: ") if field else error.message
    return {field.removeprefix(prefix): message}


def of_fields(faults: Faults, fields: Iterable[str]) -> Faults:
    """Return the messages by fields of a form, whose names may be only a part of the path.

    A message about something that is not in the form is about the whole form.
    """
    known, found = {*fields, VERSION}, Faults()
    for path, message in faults.items():
        name = path
        while name and name not in known:
            name = name.rpartition(".")[0]
        text = message if name or not path else f"{path}: {message}"
        found[name] = f"{found[name]}; {text}" if name in found else text
    return found


def checked(form: Mapping[str, str], prefix: str) -> list[str]:
    """Return the names of the boxes that are checked, without the prefix of their fields."""
    return [name.removeprefix(prefix) for name in form if name.startswith(prefix)]


def lines_of(text: str, field: str) -> list[str]:
    """Return the lines of a field that are not empty.

    Raises:
        FormError: there are too many.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > LINES_MAX:
        raise FormError({field: f"at most {LINES_MAX} lines are allowed"})
    return lines


def pairs_of(
    text: str, field: str, value_name: str = "value", *, at_first: bool = False
) -> dict[str, str]:
    """Return the entries of a field with lines such as `name = value`.

    A line is divided at its last `=`, or ``at_first`` one.

    Raises:
        FormError: a line has no `=`, or a name appears twice.
    """
    found: dict[str, str] = {}
    for line in lines_of(text, field):
        parts = line.partition("=") if at_first else line.rpartition("=")
        name, sign, value = (part.strip() for part in parts)
        if not sign or not name:
            raise FormError({field: f"{line[:64]!r} is not a line such as name = {value_name}"})
        if name in found:
            raise FormError({field: f"{name[:64]!r} appears twice"})
        found[name] = value
    return found


def words_of(text: str) -> list[str]:
    """Return the parts of a text between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_number(text: str, field: str) -> int:
    """Return the number in a field.

    Raises:
        FormError: it is not one of at most ``WHOLE_DIGITS_MAX`` digits.
    """
    number = digits_in(text)
    if number is None:
        raise FormError({field: f"{text[:64]!r} is not allowed; a whole number is expected"})
    return number


def digits_in(text: str, digits_max: int = WHOLE_DIGITS_MAX) -> int | None:
    """Return the number of a text of ASCII digits; None if it is none, or has too many."""
    is_number = text.isascii() and text.isdigit() and len(text) <= digits_max
    return int(text) if is_number else None


def _message(issue: Mapping[str, Any]) -> str:
    return "required" if issue["type"] == "missing" else message_of(issue)
