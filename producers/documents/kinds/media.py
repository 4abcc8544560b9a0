"""Media, such as images and audio, that inputs, outputs and metadata refer to."""

from __future__ import annotations

from typing import ClassVar

from producers.documents.kind import DocumentBody


class Media(DocumentBody, frozen=True, kw_only=True):
    """A file. Its id is derived from the hash of its content, so equal files are stored once."""

    kind: ClassVar = "media"
    plural: ClassVar = "media"
    per_project_max: ClassVar = 1_000_000

    content_type: str
    content_length: int
    sha256: str
    """Base64 of the hash of the content."""
    uploaded_us: int | None = None
    upload_status: int | None = None
    """HTTP status of the upload, as the client reports it."""
    upload_error: str | None = None
    trace_id: str | None = None
    """The first trace that refers to it, or None."""
    observation_id: str | None = None
    dataset_item_id: str | None = None
    field: str = ""

    def subject_id(self) -> str:
        return self.trace_id or ""
