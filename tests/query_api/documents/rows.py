"""Rows of documents that are stored."""

from __future__ import annotations

from typing import Any

import msgspec

from clickhouse.rows import DocumentRow
from producers.documents.kind import DocumentBody
from tests.query_api.harness import NOON_US, PROJECT


def document(id_: str, body: DocumentBody, **fields: Any) -> DocumentRow:
    return DocumentRow(
        project_id=PROJECT, kind=body.kind, id=id_, version=0, revision=1,
        parent=body.parent_id(), name=body.found_by_name(), status="", subject=body.subject_id(),
        created_us=NOON_US, updated_us=NOON_US, body=msgspec.json.encode(body).decode(),
        row_version=1, **{"is_deleted": 0, **fields},
    )  # fmt: skip
