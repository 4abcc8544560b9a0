"""Define the records of the topic ``documents``, and which of several records of an id wins.

A record has the whole document, in a revision that its writer chose: one more than the revision it
had read. The highest revision wins, and of several records with the same revision, the first in the
log. So a writer changes exactly the document that it has read, or it loses and has no effect. This
order is a number (``rank_of``), by which the store, which replaces rows by the highest version, and
every process decide alike, without further state.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from producers.kafka.topics import Cleanup, Partitions, Topic

DOCUMENTS: Final = Topic("documents", Partitions.ONE, Cleanup.DELETE)
"""Keys are ``project_id/kind/id``; values are ``DocumentRecord`` as JSON."""
OFFSET_BITS: Final = 40
REVISIONS_MAX: Final = 2 ** (64 - OFFSET_BITS) - 1
"""Maximum revision of a document."""
ID_CHARS_MAX: Final = 1_000
RECORD_OVERHEAD_BYTES: Final = 1_000
"""Memory that a record takes in addition to its text, approximately."""


class DocumentKey(NamedTuple):
    """The identity of a document."""

    project_id: str
    kind: str
    id: str


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One revision of a document. Times are microseconds since the epoch."""

    project_id: str
    kind: str
    id: str
    revision: int
    is_deleted: int = 0
    is_versioned: int = 0
    """Whether the store keeps this revision beside later ones."""
    parent: str = ""
    name: str = ""
    status: str = ""
    subject: str = ""
    created_us: int
    """Time of the first revision; of the first one after the deletion, if it was deleted."""
    updated_us: int
    """Time of this revision; it is higher than that of the revision before."""
    body: str
    """The content as JSON (``DocumentBody``)."""

    @property
    def key(self) -> DocumentKey:
        return DocumentKey(self.project_id, self.kind, self.id)


class LoggedRecord(NamedTuple):
    """A record and its position in the log."""

    record: DocumentRecord
    offset: int


_decode: Final = msgspec.json.Decoder(DocumentRecord).decode


def rank_of(revision: int, offset: int) -> int:
    """Return the rank of a record: of all records of a document, the highest rank wins."""
    return (revision << OFFSET_BITS) | ((1 << OFFSET_BITS) - 1 - offset % (1 << OFFSET_BITS))


def log_key_of(key: DocumentKey) -> bytes:
    """Return the key of a record in the log."""
    return "/".join(key).encode()


def value_of(record: DocumentRecord) -> bytes:
    """Return the value of a record in the log."""
    return msgspec.json.encode(record)


def record_of(value: bytes | None) -> DocumentRecord:
    """Return the document that a value describes.

    Raises:
        ValueError: it is not a record of a document.
    """
    record = _decode(value or b"")
    if not 1 <= record.revision <= REVISIONS_MAX:
        raise ValueError(f"the revision {record.revision} is not between 1 and {REVISIONS_MAX}")
    return record
