"""Items of datasets."""

from __future__ import annotations

from typing import Any, ClassVar

from producers.documents.kind import DocumentBody


class DatasetItem(DocumentBody, frozen=True, kw_only=True):
    """An example. Every version is kept, so that experiments can be repeated as of a time."""

    kind: ClassVar = "dataset_item"
    per_project_max: ClassVar = 1_000_000
    is_versioned: ClassVar = True

    dataset_id: str
    dataset_name: str
    input: Any = None
    expected_output: Any = None
    metadata: Any = None
    source_trace_id: str | None = None
    source_observation_id: str | None = None
    status: str = "ACTIVE"
    """``ACTIVE`` or ``ARCHIVED``: the latter has no part in new experiments."""

    def parent_id(self) -> str:
        return self.dataset_id

    def found_by_name(self) -> str:
        return self.source_observation_id or ""

    def found_by_status(self) -> str:
        return self.status

    def subject_id(self) -> str:
        return self.source_trace_id or ""
