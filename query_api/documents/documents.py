"""Read and change documents, with the limits of the settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from producers.documents.kind import DocumentBody
from producers.documents.record import DocumentKey, DocumentRecord
from query_api import metrics
from query_api.documents.counts import DocumentCounts
from query_api.documents.document import BodyT, Document, document_of, next_record
from query_api.documents.log import DocumentLog
from query_api.documents.reading import DocumentReading
from query_api.errors import ConflictError, QueryApiError, TooManyError, UnavailableError
from query_api.settings import QuerySettings
from query_api.store.queries.documents import DocumentConditions
from query_api.store.reader import Reader
from tracemill.clock import now_us

DELETED_AT_ONCE: Final = 100

Change = Callable[[BodyT | None], BodyT | None]
"""Return the new content of a document from the current one; None: it does not change."""


class Documents:
    """The documents of all projects, of all kinds."""

    def __init__(self, log: DocumentLog, reader: Reader, settings: QuerySettings) -> None:
        self._log = log
        self._settings = settings
        self._reading = DocumentReading(log, reader, settings)
        self._counts = DocumentCounts(self._reading, settings)

    async def get(self, kind: type[BodyT], project_id: str, id_: str) -> Document[BodyT] | None:
        """Return a document; None if there is none.

        Raises:
            UnavailableError, TooCostlyError: the store did not answer in time.
        """
        key = DocumentKey(project_id, kind.kind, id_)
        record = await self._reading.current(key, cached=kind.is_cached)
        return None if record is None or record.is_deleted else document_of(kind, record)

    async def records(
        self, kind: type[BodyT], project_id: str, ids: Iterable[str]
    ) -> dict[str, DocumentRecord]:
        """Return the last revision of each document, also of deleted ones. Raises like ``get``."""
        return await self._reading.current_by_id(project_id, kind.kind, ids)

    async def page(
        self,
        kind: type[BodyT],
        project_id: str,
        *,
        offset: int,
        limit: int,
        parent: str = "",
        name: str = "",
        status: str = "",
        subject: str = "",
        id_: str = "",
        as_of_us: int | None = None,
    ) -> tuple[list[Document[BodyT]], int]:
        """Return a page of documents, the newest first, and their total number.

        Empty texts are no conditions. Raises like ``get``.
        """
        conditions = DocumentConditions(
            kind=kind.kind,
            id=id_,
            parent=parent,
            name=name,
            status=status,
            subject=subject,
            as_of_us=as_of_us,
        )
        records, total = await self._reading.page(project_id, conditions, offset, limit)
        return [document_of(kind, each) for each in records], total

    async def matching(
        self, kind: type[BodyT], project_id: str, conditions: DocumentConditions, limit: int
    ) -> list[Document[BodyT]]:
        """Return the newest documents that meet the conditions. Raises like ``get``."""
        records, _ = await self._reading.page(project_id, conditions, 0, limit)
        return [document_of(kind, each) for each in records]

    async def children(
        self, kind: type[DocumentBody], project_id: str, parents: Iterable[str], status: str = ""
    ) -> dict[str, tuple[int, int]]:
        """Return the number of documents of each parent, and the creation of the newest (µs).

        Parents without documents are left out. Raises like ``get``.
        """
        ids = tuple(parents)
        conditions = DocumentConditions(kind=kind.kind, parents=ids, status=status)
        return await self._reading.by_parent(project_id, conditions) if ids else {}

    async def all(
        self, kind: type[BodyT], project_id: str, *, parent: str, status: str = ""
    ) -> list[Document[BodyT]]:
        """Return all documents of a parent.

        Raises:
            TooManyError: there are more than ``documents_of_parent_max``.
            UnavailableError, TooCostlyError: like ``get``.
        """
        limit = self._settings.documents_of_parent_max
        found, total = await self.page(
            kind, project_id, offset=0, limit=limit, parent=parent, status=status
        )
        if total > limit:
            metrics.LIMITS_REACHED.labels("documents_of_parent_max").inc()
            raise TooManyError(f"there are {total} {kind.plural}, more than {limit}: read pages")
        return found

    async def create(
        self, project_id: str, body: BodyT, *, id_: str | None = None
    ) -> Document[BodyT]:
        """Create a document; without an id, it gets a random one.

        Raises:
            ConflictError: there is a document with this id, or the project has too many.
            UnavailableError: it was not written in time.
        """
        if id_ is None:
            id_ = secrets.token_hex(12)
            key = DocumentKey(project_id, body.kind, id_)
            await self._counts.check(type(body), project_id)
            record = next_record(key, None, body, now_us())
            (has_won,) = await self._append([(None, record)])
            assert has_won, "random ids are unique"
            return document_of(type(body), record)

        def created(before: BodyT | None) -> BodyT:
            if before is not None:
                raise ConflictError(f"a {body.kind.replace('_', ' ')} with this id already exists")
            return body

        return await self.change(type(body), project_id, id_, created)

    async def get_or_create(
        self, project_id: str, id_: str, body: BodyT, *, created_us: int | None = None
    ) -> Document[BodyT]:
        """Return the document with an id; if there is none, create it. Raises like ``change``."""

        def created(before: BodyT | None) -> BodyT | None:
            return body if before is None else None

        return await self.change(type(body), project_id, id_, created, created_us=created_us)

    async def change(
        self,
        kind: type[BodyT],
        project_id: str,
        id_: str | None,
        change: Change[BodyT],
        *,
        created_us: int | None = None,
    ) -> Document[BodyT]:
        """Create or change a document; ``change`` is repeated if another writer was first.

        Without an id, a document with a random id is created, which needs no look-up.
        ``change`` gets the current content, or None if there is no document. Its exceptions are
        raised. If it returns None, the document must exist and remains unchanged.

        Raises:
            ConflictError: the project has too many documents of the kind.
            UnavailableError: it was not written in time.
        """
        if id_ is None:
            body = change(None)
            assert body is not None, "only an existing document can remain unchanged"
            return await self.create(project_id, body)
        key = DocumentKey(project_id, kind.kind, id_)
        fresh = False  # a stale revision loses, and is read again
        for _ in range(self._settings.document_write_attempts_max):
            before = await self._reading.current(key, fresh=fresh, cached=kind.is_cached)
            if before is None or before.is_deleted:
                body = change(None)
                assert body is not None, "only an existing document can remain unchanged"
                await self._counts.check(kind, project_id)
            else:
                held = document_of(kind, before)
                body = change(held.body)
                if body is None:
                    return held
            record = next_record(key, before, body, now_us(), created_us=created_us)
            (has_won,) = await self._append([(before, record)])
            if has_won:
                return document_of(kind, record)
            fresh = True
        raise self._contended()

    async def change_all(
        self, kind: type[BodyT], project_id: str, changes: Sequence[tuple[str, Change[BodyT]]]
    ) -> list[Document[BodyT] | QueryApiError]:
        """Create or change many documents at once; return each, or why it was refused.

        Raises:
            ConflictError: the project would have too many documents; none was written.
            UnavailableError: they were not written in time; some may have been.
        """
        ids = [id_ for id_, _ in changes]
        before = await self._reading.current_by_id(project_id, kind.kind, ids)
        live = {each: record for each, record in before.items() if not record.is_deleted}
        new = len(set(ids) - live.keys())
        if new:
            await self._counts.check(kind, project_id, new)
        outcomes: dict[int, Document[BodyT] | QueryApiError] = {}
        changed: dict[int, tuple[DocumentRecord | None, DocumentRecord]] = {}
        at_us = now_us()
        for index, (id_, change) in enumerate(changes):
            body = document_of(kind, live[id_]).body if id_ in live else None
            try:
                after = change(body)
            except QueryApiError as error:
                outcomes[index] = error
                continue
            if after is None:
                outcomes[index] = document_of(kind, live[id_])
            else:
                key = DocumentKey(project_id, kind.kind, id_)
                record = next_record(key, before.get(id_), after, at_us + index)
                changed[index] = (before.get(id_), record)
        have_won = await self._append(list(changed.values()))
        for (index, (_, record)), has_won in zip(changed.items(), have_won, strict=True):
            if has_won:
                outcomes[index] = document_of(kind, record)
                continue
            try:
                outcomes[index] = await self.change(kind, project_id, *changes[index])
            except QueryApiError as error:
                outcomes[index] = error
        return [outcomes[index] for index in range(len(changes))]

    async def delete(
        self,
        kind: type[BodyT],
        project_id: str,
        id_: str,
        check: Callable[[BodyT], None] | None = None,
    ) -> bool:
        """Delete a document; return whether there was one.

        ``check`` gets the content that is deleted, and may refuse by an exception, which is raised.

        Raises:
            UnavailableError: it was not deleted in time.
        """
        key = DocumentKey(project_id, kind.kind, id_)
        for _ in range(self._settings.document_write_attempts_max):
            before = await self._reading.current(key)
            if before is None or before.is_deleted:
                return False
            if check is not None:
                check(document_of(kind, before).body)
            record = next_record(key, before, None, now_us())
            (has_won,) = await self._append([(before, record)])
            if has_won:
                return True
        raise self._contended()

    async def delete_children(self, kind: type[BodyT], project_id: str, parent: str) -> int:
        """Delete all documents of a parent; return their number. Raises like ``delete``."""
        conditions = DocumentConditions(kind=kind.kind, parent=parent)
        deleted = 0
        while True:
            found, _ = await self._reading.page(project_id, conditions, 0, DELETED_AT_ONCE)
            if not found:
                return deleted
            deletions = [(each, next_record(each.key, each, None, now_us())) for each in found]
            deleted += sum(await self._append(deletions))

    async def _append(
        self, changes: Sequence[tuple[DocumentRecord | None, DocumentRecord]]
    ) -> list[bool]:
        """Write records, given with those before, and return whether each took effect."""
        written = await self._log.append([record for _, record in changes]) if changes else []
        for (before, record), has_won in zip(changes, written, strict=True):
            if has_won:
                self._counts.add(record, before)
        return written

    def _contended(self) -> UnavailableError:
        metrics.LIMITS_REACHED.labels("document_write_attempts_max").inc()
        return UnavailableError(
            "other requests change the document at the same time; try again",
            retry_after_s=self._settings.retry_after_s,
        )
