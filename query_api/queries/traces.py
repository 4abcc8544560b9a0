"""Which traces, and what each of them is.

A page is found on narrow columns and then read whole for its keys only, so that no prompt is read for a trace that is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.conditions import Condition, conditions_sql
from query_api.sql import OF_PROJECT, Binder, Question
from query_api.stored import TRACE_CORE, TRACE_TEXTS


@dataclass(frozen=True, slots=True)
class CountTraces(Question):
    """``total``: how many traces meet the conditions."""

    name: ClassVar[str] = "count_traces"
    conditions: tuple[Condition, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT count() AS total\nFROM traces FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}"
        )


@dataclass(frozen=True, slots=True)
class FindTraces(Question):
    """``id, start_us`` of one page, in order. ``order`` is an expression from ``columns.TRACE_ORDER``."""

    name: ClassVar[str] = "find_traces"
    conditions: tuple[Condition, ...] = ()
    order: str = "start_time"
    descending: bool = True
    limit: int = 50
    offset: int = 0

    def write(self, binder: Binder) -> str:
        direction = "DESC" if self.descending else "ASC"
        return (
            "SELECT id, toUnixTimestamp64Micro(start_time) AS start_us\n"
            f"FROM traces FINAL\nWHERE {OF_PROJECT}{conditions_sql(self.conditions, binder)}\n"
            f"ORDER BY {self.order} {direction}, id {direction}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')} OFFSET {binder.bind(self.offset, 'UInt64')}"
        )


@dataclass(frozen=True, slots=True)
class ReadTraces(Question):
    """Whole rows of traces by id; ``from_us`` and ``to_us`` bound their starts where these are known."""

    name: ClassVar[str] = "read_traces"
    ids: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    texts: bool = True

    def write(self, binder: Binder) -> str:
        columns = (*TRACE_CORE, *TRACE_TEXTS) if self.texts else TRACE_CORE
        between = ""
        if self.from_us is not None and self.to_us is not None:
            between = (
                f"\n  AND start_time BETWEEN {binder.instant(self.from_us)}"
                f" AND {binder.instant(self.to_us)}"
            )
        return (
            f"SELECT {', '.join(columns)}\nFROM traces FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND id IN {binder.texts(self.ids)}{between}"
        )
