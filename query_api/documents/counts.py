"""Limit the documents of a project by kind."""

from __future__ import annotations

import asyncio
from typing import Final

from producers.documents.kind import DocumentBody
from producers.documents.record import DocumentRecord
from query_api import metrics
from query_api.documents.reading import DocumentReading
from query_api.errors import ConflictError
from query_api.settings import QuerySettings
from query_api.store.queries.documents import DocumentConditions

PROJECTS_MAX: Final = 10_000
"""Maximum cached counts; above it, the cache is emptied."""


class DocumentCounts:
    """Count the documents of projects, and cache the counts.

    Several processes can exceed a limit by what they create in ``document_counts_s``.
    """

    def __init__(self, reading: DocumentReading, settings: QuerySettings) -> None:
        self._reading = reading
        self._settings = settings
        self._counts: dict[tuple[str, str], tuple[int, float]] = {}
        """The number of documents, and when it was counted."""

    async def check(self, kind: type[DocumentBody], project_id: str, new: int = 1) -> None:
        """Check that a project can have more documents.

        Raises:
            ConflictError: it would have more than the setting allows.
        """
        setting = kind.limit_setting()
        limit = getattr(self._settings, setting, kind.per_project_max)
        now_s = asyncio.get_running_loop().time()
        count, counted_s = self._counts.get((project_id, kind.kind), (0, float("-inf")))
        if now_s - counted_s > self._settings.document_counts_s:
            count = await self._reading.count(project_id, DocumentConditions(kind=kind.kind))
            if len(self._counts) >= PROJECTS_MAX:
                self._counts.clear()
            self._counts[project_id, kind.kind] = (count, now_s)
        if count + new > limit:
            metrics.LIMITS_REACHED.labels(setting).inc()
            raise ConflictError(f"a project has at most {limit} {kind.plural} ({setting})")

    def add(self, record: DocumentRecord, before: DocumentRecord | None) -> None:
        """Count a document that was created or deleted."""
        existed = before is not None and not before.is_deleted
        change = (not record.is_deleted) - existed
        key = (record.project_id, record.kind)
        if change and key in self._counts:
            count, counted_s = self._counts[key]
            self._counts[key] = (count + change, counted_s)
