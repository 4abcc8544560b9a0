"""Drop rows of deleted projects, so that replaying a topic does not store them again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from aiokafka.structs import ConsumerRecord

from clickhouse.feed import ROW_PREFIX, Feed, project_of_row
from clickhouse.sink import metrics
from clickhouse.sink.record_rows import Rows, RowsOf


class Deleted(Protocol):
    """An interface to the ids of deleted projects, which the control log updates."""

    @property
    def ids(self) -> Collection[bytes]:
        """Return the ids of projects that are deleted or being deleted."""


class _None:
    ids: Final[frozenset[bytes]] = frozenset()


NONE_DELETED: Final = _None()
"""No project is deleted."""


class ProjectFilter:
    """A filter that drops the rows of deleted projects from records of one feed."""

    def __init__(self, feed: Feed, deleted: Deleted) -> None:
        self._table = feed.table
        self._project_of = feed.project_of
        self._is_by_column = feed.project_of is project_of_row
        self._deleted = deleted

    def filtered(self, value: bytes) -> bytes:
        """Return NDJSON without the rows of deleted projects."""
        ids = self._deleted.ids
        if not ids or not value:
            return value
        lines = value.split(b"\n")
        if self._is_by_column and _projects_of(lines).isdisjoint(ids):
            return value
        kept = [line for line in lines if self._project_of(line) not in ids]
        if len(kept) == len(lines):
            return value
        metrics.ROWS_DROPPED.labels(self._table).inc(len(lines) - len(kept))
        return b"\n".join(kept)

    def rows_of(self, rows_of: RowsOf) -> RowsOf:
        """Wrap a function that converts records to rows; drop the rows of deleted projects."""

        def filtered(record: ConsumerRecord) -> Rows:
            rows = rows_of(record)
            value = self.filtered(rows.value)
            return rows if value is rows.value else Rows.of(value)

        return filtered


def _projects_of(lines: list[bytes]) -> set[bytes]:
    """Return the projects of rows; optimized for records with rows of few projects."""
    length = len(ROW_PREFIX)
    heads = {line[: line.find(b'"', length) + 1]: line for line in lines}
    if all(head.startswith(ROW_PREFIX) and b"\\" not in head for head in heads):
        return {project_of_row(line) for line in heads.values()}
    return {project_of_row(line) for line in lines}
