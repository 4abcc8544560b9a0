"""Save forms that edit records, unless somebody has changed the record since the form was opened.

A form has the ``ETag`` of the record that it shows in a hidden field. A refused form keeps it: to
save it again is refused, too, until the viewer opens the form again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from producers.control.record import ControlRecord
from producers.errors import ControlVersionError
from query_api.console.form_bodies import VERSION, FormError
from query_api.console.page import View
from query_api.errors import BadRequestError
from query_api.v1.etags import Precondition, etag_of

REFUSED: Final = 422
STALE: Final = 412
Write = Callable[[str | None, str, Any, str, Precondition | None], Awaitable[ControlRecord]]
"""``Records.change`` or ``Records.replace``."""


class StaleFormError(FormError):
    """The record of a form has changed since the form was opened."""

    def __init__(self) -> None:
        # The template has the text, in the language of the viewer.
        super().__init__({VERSION: "this has changed since the form was opened"})


def with_version(form: Mapping[str, str], record: ControlRecord) -> dict[str, str]:
    """Return the fields of the form of a record, and the version that it shows."""
    return {**form, VERSION: etag_of(record)}


async def save(view: View, write: Write, record: ControlRecord, body: Any) -> None:
    """Write the body of a form over the version of the record that the form was opened with.

    Raises:
        StaleFormError: the record has another version, or the form does not name one.
        BadRequestError: the body is invalid.
    """
    opened = Precondition(frozenset({view.form.get(VERSION, "")}))
    try:
        await write(view.project_id, record.id, body, view.session.principal.public_key, opened)
    except ControlVersionError as error:
        raise StaleFormError from error


def status_of_refusal(error: BadRequestError) -> int:
    """Return the status of the page that shows a refused form again."""
    return STALE if isinstance(error, StaleFormError) else REFUSED
