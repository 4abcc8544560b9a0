"""Define the feed of documents, which the query API writes."""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.feed import Feed
from clickhouse.rows import DocumentRow
from producers.control.secret_box import SecretBox
from producers.documents.record import DOCUMENTS, rank_of, record_of


def document_rows(record: ConsumerRecord, _box: SecretBox | None) -> bytes:
    """Convert a record to the row of the current state and, of a versioned kind, of the version.

    Raises:
        ValueError: it is not a document; it becomes a dead letter.
    """
    document = record_of(record.value)
    fields = {field: getattr(document, field) for field in document.__struct_fields__}
    is_versioned = fields.pop("is_versioned")
    row_version = rank_of(document.revision, record.offset)
    versions = (0, document.revision) if is_versioned else (0,)
    return b"\n".join(
        msgspec.json.encode(DocumentRow(**fields, version=version, row_version=row_version))
        for version in versions
    )


FEED: Final = Feed(table="documents", row=DocumentRow, topic=DOCUMENTS, row_of=document_rows)
