"""Query traces.

``FindTraces`` selects the ids of a page from small columns. ``ReadTraces`` then reads only these
traces, with inputs and outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.conditions import Condition, conditions_sql
from query_api.store.rows import TRACE_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class CountTraces(StoreQuery):
    """Select ``total``, the number of traces that meet the conditions."""

    name: ClassVar[str] = "count_traces"
    conditions: tuple[Condition, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT count() AS total\nFROM traces FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}"
        )


@dataclass(frozen=True, slots=True)
class FindTraces(StoreQuery):
    """Select the ids of a page of traces, in order.

    ``order`` is an expression from ``columns.TRACE_ORDER``; ``since_us`` is the earliest start. A
    page begins at ``offset``, or if the order is that of starts, ``after`` the start (µs) and id at
    the end of the previous page.
    """

    name: ClassVar[str] = "find_traces"
    conditions: tuple[Condition, ...] = ()
    order: str = "start_time"
    descending: bool = True
    limit: int = 50
    offset: int = 0
    since_us: int | None = None
    after: tuple[int, str] | None = None

    def write(self, binder: Binder) -> str:
        since = ""
        if self.since_us is not None:
            since = f"\n  AND start_time >= {binder.instant(self.since_us)}"
        if self.after is not None:
            position = f"({binder.instant(self.after[0])}, {binder.text(self.after[1])})"
            since += f"\n  AND (start_time, id) {'<' if self.descending else '>'} {position}"
        direction = "DESC" if self.descending else "ASC"
        return (
            f"SELECT id\nFROM traces FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}{since}\n"
            f"ORDER BY {self.order} {direction}, id {direction}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')} OFFSET {binder.bind(self.offset, 'UInt64')}"
        )


@dataclass(frozen=True, slots=True)
class ReadTraces(StoreQuery):
    """Select the newest version of traces by id, including deleted ones.

    It does not use ``FINAL``, because merging parts costs more than reading a few keys. It does not
    exclude deleted rows, because the outer query that this needs would make it 1.5 times as
    expensive.
    """

    name: ClassVar[str] = "read_traces"
    ids: tuple[str, ...] = ()
    columns: tuple[str, ...] = TRACE_WHOLE

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT {', '.join(self.columns)}\n"
            f"FROM traces\nWHERE {OF_PROJECT}\n  AND id IN {binder.texts(self.ids)}\n"
            "ORDER BY row_version DESC, is_deleted\nLIMIT 1 BY id"
        )
