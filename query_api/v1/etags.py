"""Derive the ``ETag`` of a control record from its content, and check ``If-Match``.

Versions of records are offsets in a log that all projects share: an ``ETag`` with one would show a
project how much the others write.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from fastapi import Depends, Header, Request
from starlette.responses import Response

from producers.control.log import ControlLog
from producers.control.record import ControlRecord
from producers.documents.kind import DocumentBody
from producers.errors import ControlVersionError
from query_api.documents.document import DocumentVersionError, version_of
from query_api.errors import BadRequestError

LENGTH_MAX: Final = 1_000
_DIGEST_BYTES: Final = 16
_NAMESPACE: Final = b"tracemill etag"
_ELEMENT: Final = re.compile(r'[ \t]*(?:(W/)?"([!#-~\x80-\xff]*)"[ \t]*)?(?:,|$)')
"""One element of a list of entity tags (RFC 9110, 8.8.3); elements may be empty."""


@dataclass(frozen=True, slots=True)
class Precondition:
    """An ``If-Match`` header."""

    tags: frozenset[str]
    """The strong tags. A weak one matches nothing here (RFC 9110, 13.1.1)."""
    any_record: bool = False
    """The header is ``*``: any version of an existing record matches."""

    def is_met_by(self, record: ControlRecord | None) -> bool:
        """Return whether the record may be changed; None: there is none."""
        return record is not None and (self.any_record or etag_of(record) in self.tags)

    def require(self, body: DocumentBody) -> None:
        """Check the content of a document before it is changed or deleted.

        Raises:
            DocumentVersionError: it is not as the header requires.
        """
        if not self.any_record and version_of(body) not in self.tags:
            noun = body.kind.replace("_", " ")
            raise DocumentVersionError(f"the {noun} is not as If-Match requires: read it again")


def etag_of(record: ControlRecord) -> str:
    """Return the tag of a record, which is the same in every process."""
    content = msgspec.json.encode(
        (record.kind, record.model_dump(mode="json")), order="deterministic"
    )
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, key=_NAMESPACE).hexdigest()


def with_etag(response: Response, record: ControlRecord | None) -> None:
    """Set the ``ETag`` of a record; None: there is none."""
    if record is not None:
        response.headers["ETag"] = f'"{etag_of(record)}"'


def precondition_of(if_match: str) -> Precondition:
    """Parse the value of an ``If-Match`` header.

    Raises:
        BadRequestError: it is neither ``*`` nor a list of tags.
    """
    if if_match.strip() == "*":
        return Precondition(frozenset(), any_record=True)
    tags: list[str] = []
    at, found = 0, False
    while at < len(if_match):
        element = _ELEMENT.match(if_match, at)
        if element is None or not element.group():
            break
        weak, tag = element.groups()
        if tag is not None:
            found = True
            if not weak:
                tags.append(tag)
        at = element.end()
    if at < len(if_match) or not found:
        raise BadRequestError(
            'If-Match: must be the ETag of an earlier response, with its quotes, such as "5f0c", or'
            " several of them separated by commas, or *",
            field="If-Match",
        )
    return Precondition(frozenset(tags))


async def _if_match(
    request: Request,
    if_match: Annotated[str | None, Header(alias="If-Match", max_length=LENGTH_MAX)] = None,
) -> Precondition | None:
    if if_match is None:
        return None
    # Several headers are one list; the parameter has only the first.
    return precondition_of(", ".join(request.headers.getlist("if-match")))


IfMatch = Annotated[Precondition | None, Depends(_if_match)]


async def expected_version(
    control: ControlLog,
    record: type[ControlRecord],
    record_id: str,
    precondition: Precondition | None,
) -> int | None:
    """Return the version that a write must replace; None if it may replace any.

    Raises:
        ControlVersionError: the record does not meet the precondition.
        ControlUnavailableError: the log could not be read.
    """
    if precondition is None:
        return None
    if not precondition.is_met_by(control.view[record].get(record_id)):
        # The client may have read the record from a process that is ahead of this one.
        await control.caught_up()
        if not precondition.is_met_by(control.view[record].get(record_id)):
            kind = record.kind.replace("_", " ")
            raise ControlVersionError(
                f"{kind} {record_id!r} is not as If-Match requires: read it again"
            )
    return None if precondition.any_record else control.version_of(record.kind, record_id)
