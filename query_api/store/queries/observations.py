"""Query observations.

Conditions are evaluated on the slim table if it has the columns. Texts are read only for the page.
Rows are read by key without ``FINAL``, because selecting the newest versions of a few keys is
cheaper than merging parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.conditions import Condition, conditions_sql, needs_full_texts
from query_api.store.rows import OBSERVATION_NUMBERS
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


def _table(conditions: tuple[Condition, ...]) -> str:
    return "observations" if needs_full_texts(conditions) else "observations_slim"


@dataclass(frozen=True, slots=True)
class CountObservations(StoreQuery):
    """Select ``total``, the number of observations that meet the conditions."""

    name: ClassVar[str] = "count_observations"
    conditions: tuple[Condition, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT count() AS total\nFROM {_table(self.conditions)} FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}"
        )


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page; the next page has the rows that sort after it."""

    start_us: int
    trace_id: str
    id: str


@dataclass(frozen=True, slots=True)
class FindObservations(StoreQuery):
    """Select ``start_us, trace_id, id, row_version`` of a page, newest first.

    A page begins at ``offset`` or ``below`` a position; ``since_us`` is the earliest start. Without
    ``merged``, stored versions are selected, at a third of the cost. They include all current
    versions that meet the conditions, and others.

    ``order`` is an expression from ``columns.OBSERVATION_ORDER`` by which the rows are sorted
    instead; such a page begins at ``offset``. Without ``descending``, every order is reversed.
    """

    name: ClassVar[str] = "find_observations"
    conditions: tuple[Condition, ...] = ()
    limit: int = 50
    offset: int = 0
    below: Position | None = None
    since_us: int | None = None
    merged: bool = True
    order: str = ""
    descending: bool = True

    def write(self, binder: Binder) -> str:
        before, direction = ("<", "DESC") if self.descending else (">", "ASC")
        below = "" if self.merged else "\n  AND is_deleted = 0"
        if self.since_us is not None:
            below += f"\n  AND start_time >= {binder.instant(self.since_us)}"
        if self.below is not None:
            start = binder.instant(self.below.start_us)
            below += (
                f"\n  AND start_time {before}= {start}\n  AND (start_time, trace_id, id) {before} "
                f"({start}, {binder.text(self.below.trace_id)}, {binder.text(self.below.id)})"
            )
        order = f"{self.order} {direction}, " if self.order else ""
        return (
            "SELECT toUnixTimestamp64Micro(start_time) AS start_us, trace_id, id, row_version\n"
            f"FROM {_table(self.conditions)}{' FINAL' if self.merged else ''}\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}{below}\n"
            f"ORDER BY {order}start_time {direction}, trace_id {direction}, id {direction}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')} OFFSET {binder.bind(self.offset, 'UInt64')}"
        )


@dataclass(frozen=True, slots=True)
class ReadObservations(StoreQuery):
    """Select the newest version of observations by trace, by id or by both, including deleted ones.

    ``from_us`` and ``to_us`` limit the starts. The slim table is read if it has the columns. With
    ``first``, only that number of the earliest observations is selected, without deleted ones; this
    costs 1.5 times as much.
    """

    name: ClassVar[str] = "read_observations"
    trace_ids: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    columns: tuple[str, ...] = OBSERVATION_NUMBERS
    first: int | None = None

    def write(self, binder: Binder) -> str:
        slim = set(self.columns) <= set(OBSERVATION_NUMBERS)
        conditions = [OF_PROJECT]
        if self.trace_ids:
            conditions.append(f"trace_id IN {binder.texts(self.trace_ids)}")
        if self.ids:
            conditions.append(f"id IN {binder.texts(self.ids)}")
        if self.from_us is not None and self.to_us is not None:
            bounds = f"{binder.instant(self.from_us)} AND {binder.instant(self.to_us)}"
            conditions.append(f"start_time BETWEEN {bounds}")
        where = "\n  AND ".join(conditions)
        newest = (
            f"SELECT {', '.join(self.columns)}\n"
            f"FROM {'observations_slim' if slim else 'observations'}\nWHERE {where}\n"
            "ORDER BY row_version DESC, is_deleted\nLIMIT 1 BY trace_id, id"
        )
        if self.first is None:
            return newest
        return (
            f"SELECT * FROM (\n{newest}\n)\nWHERE is_deleted = 0\nORDER BY start_us, id\n"
            f"LIMIT {binder.bind(self.first, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class ListObservationIds(StoreQuery):
    """Select ``trace_id`` and ``ids``, the ids of the observations of traces."""

    name: ClassVar[str] = "list_observation_ids"
    trace_ids: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    ids_per_trace_max: int = 1000

    def write(self, binder: Binder) -> str:
        between = ""
        if self.from_us is not None and self.to_us is not None:
            bounds = f"{binder.instant(self.from_us)} AND {binder.instant(self.to_us)}"
            between = f"\n    AND start_time BETWEEN {bounds}"
        return (
            "SELECT trace_id, arrayMap(pair -> pair.2, arraySlice(arraySort("
            "groupArray((start_time, id))), 1, "
            f"{binder.bind(self.ids_per_trace_max, 'UInt32')})) AS ids\n"
            "FROM (\n  SELECT trace_id, id, start_time, is_deleted\n  FROM observations_slim\n"
            f"  WHERE {OF_PROJECT}\n    AND trace_id IN {binder.texts(self.trace_ids)}{between}\n"
            "  ORDER BY row_version DESC, is_deleted\n  LIMIT 1 BY trace_id, id\n)\n"
            "WHERE is_deleted = 0\nGROUP BY trace_id"
        )
