"""Define a document as routes see it, and how it becomes a record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from producers.documents.kind import DocumentBody
from producers.documents.record import REVISIONS_MAX, DocumentKey, DocumentRecord
from query_api.errors import ConflictError

_DIGEST_BYTES: Final = 16

BodyT = TypeVar("BodyT", bound=DocumentBody)


class DocumentVersionError(ConflictError):
    """A document has changed since it was read."""


@dataclass(frozen=True, slots=True)
class Document(Generic[BodyT]):
    """A document in its current state. Times are microseconds since the epoch."""

    project_id: str
    id: str
    created_us: int
    updated_us: int
    body: BodyT


def version_of(body: DocumentBody) -> str:
    """Return a text that another content of a document does not have."""
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=_DIGEST_BYTES).hexdigest()


def check_version(before: DocumentBody | None, opened: str | None) -> None:
    """Check that a document is as it was opened; None: it may be any, empty: there was none.

    Raises:
        DocumentVersionError: it is not.
    """
    if opened is not None and ("" if before is None else version_of(before)) != opened:
        raise DocumentVersionError("the document has changed since it was read")


def document_of(kind: type[BodyT], record: DocumentRecord) -> Document[BodyT]:
    """Decode a record."""
    return Document(
        record.project_id,
        record.id,
        record.created_us,
        record.updated_us,
        msgspec.json.decode(record.body, type=kind),
    )


def next_record(
    key: DocumentKey,
    before: DocumentRecord | None,
    body: DocumentBody | None,
    now_us: int,
    *,
    created_us: int | None = None,
) -> DocumentRecord:
    """Return the record that follows ``before``; without a body, it deletes the document.

    ``created_us`` is the time of creation of a new document, if it is not ``now_us``.

    Raises:
        ConflictError: the document was changed too often.
    """
    revision = 1 if before is None else before.revision + 1
    if revision > REVISIONS_MAX:
        raise ConflictError(f"a document can be changed at most {REVISIONS_MAX} times")
    updated_us = now_us if before is None else max(now_us, before.updated_us + 1)
    if body is None:
        assert before is not None
        return msgspec.structs.replace(
            before, revision=revision, is_deleted=1, updated_us=updated_us, body="{}"
        )
    if before is not None and not before.is_deleted:
        created_us = before.created_us
    elif created_us is None:
        created_us = updated_us
    return DocumentRecord(
        project_id=key.project_id,
        kind=key.kind,
        id=key.id,
        revision=revision,
        is_versioned=int(body.is_versioned),
        parent=body.parent_id(),
        name=body.found_by_name(),
        status=body.found_by_status(),
        subject=body.subject_id(),
        created_us=created_us,
        updated_us=updated_us,
        body=msgspec.json.encode(body).decode(),
    )
