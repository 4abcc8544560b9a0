"""Read pages of records, and make the links of a list to other pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, ValidationError

from producers.control.record import ControlRecord
from query_api.console.form_bodies import digits_in
from query_api.console.page import View
from query_api.errors import BadRequestError
from query_api.pages import NativeMeta
from query_api.v1.crud import Resource
from query_api.v1.record_pages import ListParameters, page_of
from query_api.v1.records import records_of
from query_api.validation_messages import message_of

RecordT = TypeVar("RecordT", bound=ControlRecord)
ParametersT = TypeVar("ParametersT", bound=BaseModel)
PAGES_MAX: Final = 100_000
"""Maximum number of a page of a list whose pages are counted."""


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[RecordT]):
    """A page of records; ``following`` is the query string of the next one, empty at the end."""

    records: Sequence[RecordT]
    following: str
    is_first: bool


def record_page(view: View, resource: Resource[RecordT, Any], rows: int) -> RecordPage[RecordT]:
    """Return the page of a project's records that the query string selects, oldest first.

    Raises:
        BadRequestError: the cursor is not one of the list.
    """
    parameters = parameters_of(view, ListParameters, limit=rows)
    page, meta = page_of(records_of(view.context, resource).of(view.project_id), parameters)
    following = "" if meta is msgspec.UNSET else following_of(meta)
    return RecordPage(page, following, not view.parameter("cursor"))


def parameters_of(view: View, parameters: type[ParametersT], **given: Any) -> ParametersT:
    """Return the parameters of a list, with the cursor of the query string.

    Raises:
        BadRequestError: a parameter is not valid.
    """
    values = {"cursor": view.parameter("cursor") or None, **given}
    try:
        return parameters.model_validate(values)
    except ValidationError as error:
        issue = error.errors()[0]
        name = ".".join(map(str, issue["loc"]))
        raise BadRequestError(f"{name}: {message_of(issue)}", field=name) from error


def page_number(view: View, name: str = "page") -> int:
    """Return the number of a page in a parameter, which counts from 1.

    Raises:
        BadRequestError: it is not a number from 1 to ``PAGES_MAX``.
    """
    number = digits_in(view.parameter(name) or "1", len(str(PAGES_MAX)))
    if number is None or not 1 <= number <= PAGES_MAX:
        raise BadRequestError(f"{name}: must be 1 to {PAGES_MAX}", field=name)
    return number


def following_of(meta: NativeMeta, **given: str) -> str:
    """Return the query string of the next page; empty if there is none."""
    if not meta.cursor:
        return ""
    found = {name: each for name, each in given.items() if each}
    return f"?{urlencode({**found, 'cursor': meta.cursor})}"
