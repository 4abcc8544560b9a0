"""Join the rows of the store with the records of the tail.

The tail has all records that are not stored, and those of the last seconds. A document in it is
newer than its row. So a row is used only if the tail has no record of its document. The records are
looked up before and after the query, because they may be stored and evicted while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from producers.documents.record import DocumentKey, DocumentRecord, LoggedRecord
from query_api import metrics
from query_api.documents.log import DocumentLog
from query_api.errors import UnavailableError
from query_api.settings import QuerySettings
from query_api.store.queries.documents import (
    CountByParent,
    CountDocuments,
    DocumentConditions,
    FindDocuments,
    FindDocumentsById,
)
from query_api.store.reader import Reader

UNSTORED_BYTES_MAX: Final = 100_000
"""Total length of the ids that a query leaves out; the store limits the length of queries."""
IDS_AT_ONCE: Final = 50
"""Ids of one query, which are part of a URL."""
CACHED_CHARS_MAX: Final = 65_536
"""Maximum length of a document that is cached."""
STORED_CHECK_S: Final = 0.05


class _Count(msgspec.Struct):
    count: int


class _OfParent(msgspec.Struct):
    parent: str
    count: int
    last_us: int


class DocumentReading:
    """Read the current state of documents."""

    def __init__(self, log: DocumentLog, reader: Reader, settings: QuerySettings) -> None:
        self._log = log
        self._reader = reader
        self._settings = settings
        self._cached: dict[DocumentKey, tuple[float, DocumentRecord | None]] = {}
        """Rows of the store, and when they were requested."""

    async def current(
        self, key: DocumentKey, *, fresh: bool = True, cached: bool = False
    ) -> DocumentRecord | None:
        """Return the last revision of a document, also if it deletes the document.

        Without ``fresh``, it may lack a change that another process acknowledged just before. With
        ``cached``, a row that was read recently is used again. It is still the current one: a later
        record would be in the tail, which keeps records for longer.

        Raises:
            UnavailableError, TooCostlyError: like ``Reader.rows``.
        """
        tail = self._log.tail
        if fresh:
            await self._log.caught_up()
        held = tail.revisions(key)
        if held:
            return held[-1].record
        now_s = asyncio.get_running_loop().time()
        requested_s, row = self._cached.get(key, (float("-inf"), None))
        if not cached or now_s - requested_s > self._settings.document_cache_s:
            query = FindDocumentsById(key.project_id, key.kind, (key.id,))
            row = await self._reader.row(query, DocumentRecord)
            if cached:
                self._cache(key, now_s, row)
        held = tail.revisions(key)
        return held[-1].record if held else row

    def _cache(self, key: DocumentKey, now_s: float, row: DocumentRecord | None) -> None:
        if row is not None and len(row.body) > CACHED_CHARS_MAX:
            return
        if len(self._cached) >= self._settings.document_cache_max:
            metrics.LIMITS_REACHED.labels("document_cache_max").inc()
            self._cached.clear()
        self._cached[key] = (now_s, row)

    async def current_by_id(
        self, project_id: str, kind: str, ids: Iterable[str]
    ) -> dict[str, DocumentRecord]:
        """Return the last revision of each document, also of deleted ones.

        Raises like ``current``.
        """
        await self._log.caught_up()
        found: dict[str, DocumentRecord] = {}
        missing: list[str] = []
        for each in dict.fromkeys(ids):
            held = self._log.tail.revisions(DocumentKey(project_id, kind, each))
            if held:
                found[each] = held[-1].record
            else:
                missing.append(each)
        for first in range(0, len(missing), IDS_AT_ONCE):
            part = tuple(missing[first : first + IDS_AT_ONCE])
            for row in await self._reader.rows(
                FindDocumentsById(project_id, kind, part), DocumentRecord
            ):
                found[row.id] = row
        return found

    async def page(
        self, project_id: str, conditions: DocumentConditions, offset: int, limit: int
    ) -> tuple[list[DocumentRecord], int]:
        """Return a page, the newest first, and the number of all documents.

        Raises:
            UnavailableError, TooCostlyError: like ``Reader.rows``; or too many are not stored yet.
        """
        unstored = await self._unstored(project_id, conditions)
        unless = tuple(unstored)
        live = [each for each in unstored.values() if _meets(each, conditions)]
        skipped = max(0, offset - len(live))
        stored, (counted,) = await asyncio.gather(
            self._reader.rows(
                FindDocuments(project_id, conditions, skipped, limit + offset - skipped, unless),
                DocumentRecord,
            ),
            self._reader.rows(CountDocuments(project_id, conditions, unless), _Count),
        )
        merged = sorted([*live, *stored], key=lambda each: (each.created_us, each.id), reverse=True)
        begin = offset - skipped
        return merged[begin : begin + limit], counted.count + len(live)

    async def by_parent(
        self, project_id: str, conditions: DocumentConditions
    ) -> dict[str, tuple[int, int]]:
        """Return the number of documents of each parent, and the creation of the newest (µs).

        Raises like ``page``.
        """
        unstored = await self._unstored(project_id, conditions)
        query = CountByParent(project_id, conditions, tuple(unstored))
        rows = await self._reader.rows(query, _OfParent)
        found = {each.parent: (each.count, each.last_us) for each in rows}
        for each in unstored.values():
            if _meets(each, conditions):
                count, last_us = found.get(each.parent, (0, 0))
                found[each.parent] = (count + 1, max(last_us, each.created_us))
        return found

    async def count(self, project_id: str, conditions: DocumentConditions) -> int:
        """Return the number of documents. Raises like ``page``."""
        unstored = await self._unstored(project_id, conditions)
        live = sum(_meets(each, conditions) for each in unstored.values())
        query = CountDocuments(project_id, conditions, tuple(unstored))
        (counted,) = await self._reader.rows(query, _Count)
        return counted.count + live

    async def _unstored(
        self, project_id: str, conditions: DocumentConditions
    ) -> dict[str, DocumentRecord]:
        """Return the documents that are not stored by id, as of the time of the conditions.

        If there are too many, wait for the store.
        """
        await self._log.caught_up()
        try:
            async with asyncio.timeout(self._settings.queue_wait_max_s):
                while True:
                    found = self._unstored_now(project_id, conditions)
                    if (
                        len(found) <= self._settings.documents_unstored_max
                        and sum(map(len, found)) <= UNSTORED_BYTES_MAX
                    ):
                        return found
                    metrics.LIMITS_REACHED.labels("documents_unstored_max").inc()
                    await asyncio.sleep(STORED_CHECK_S)
        except TimeoutError:
            raise UnavailableError(
                "too many documents of the list are not stored yet (documents_unstored_max)",
                retry_after_s=self._settings.retry_after_s,
            ) from None

    def _unstored_now(
        self, project_id: str, conditions: DocumentConditions
    ) -> dict[str, DocumentRecord]:
        tail = self._log.tail
        states = (
            _as_of(revisions, conditions.as_of_us)
            for revisions in tail.of_kind(project_id, conditions.kind)
            if revisions[-1].offset >= tail.stored_up_to
            and conditions.parent in ("", revisions[-1].record.parent)
            and conditions.id in ("", revisions[-1].record.id)
            and (not conditions.parents or revisions[-1].record.parent in conditions.parents)
        )
        return {each.id: each for each in states if each is not None}


def _as_of(revisions: tuple[LoggedRecord, ...], as_of_us: int | None) -> DocumentRecord | None:
    """Return the revision at a time; None if it is older than the kept ones, so it is stored."""
    for each in reversed(revisions):
        if as_of_us is None or each.record.updated_us <= as_of_us:
            return each.record
    return None


def _meets(record: DocumentRecord, conditions: DocumentConditions) -> bool:
    created_us = record.created_us
    return (
        not record.is_deleted
        and (conditions.below is None or (created_us, record.id) < conditions.below)
        and (conditions.since_us is None or created_us >= conditions.since_us)
        and (conditions.until_us is None or created_us < conditions.until_us)
        and (not conditions.parents or record.parent in conditions.parents)
        and all(
            getattr(conditions, column) in ("", getattr(record, column))
            for column in ("id", "parent", "name", "status", "subject")
        )
    )
