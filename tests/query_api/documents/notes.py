"""A kind of documents that only the tests define."""

from __future__ import annotations

from typing import ClassVar

from producers.documents.kind import DocumentBody


class Note(DocumentBody, frozen=True, kw_only=True):
    """A note, whose versions are kept."""

    kind: ClassVar = "note"
    per_project_max: ClassVar = 100_000
    is_versioned: ClassVar = True

    book: str
    text: str
    status: str = ""

    def parent_id(self) -> str:
        return self.book

    def found_by_status(self) -> str:
        return self.status
