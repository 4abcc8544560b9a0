"""Query scores of a project and of traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition, conditions_sql
from query_api.store.rows import SCORE_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

NOT_CORRECTIONS: Final = Condition(SCORE_COLUMNS["dataType"], "ne", "CORRECTION")
"""Condition that excludes corrections, which Langfuse clients cannot parse in traces."""


@dataclass(frozen=True, slots=True)
class CountScores(StoreQuery):
    """Select ``total``, the number of scores that meet the conditions."""

    name: ClassVar[str] = "count_scores"
    conditions: tuple[Condition, ...] = ()

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT count() AS total\nFROM scores FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}"
        )


@dataclass(frozen=True, slots=True)
class FindScores(StoreQuery):
    """Select the scores of a page, newest first.

    A page begins at ``offset``, or ``below`` the time (µs) and id at the end of the previous page.
    """

    name: ClassVar[str] = "find_scores"
    conditions: tuple[Condition, ...] = ()
    limit: int = 50
    offset: int = 0
    below: tuple[int, str] | None = None

    def write(self, binder: Binder) -> str:
        below = ""
        if self.below is not None:
            at_us, score_id = self.below
            below = f"\n  AND (event_time, id) < ({binder.instant(at_us)}, {binder.text(score_id)})"
        return (
            f"SELECT {', '.join(SCORE_WHOLE)}\nFROM scores FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}{below}\n"
            "ORDER BY event_time DESC, id DESC\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')} OFFSET {binder.bind(self.offset, 'UInt64')}"
        )


@dataclass(frozen=True, slots=True)
class ListScoreIds(StoreQuery):
    """Select ``trace_id`` and ``ids``, the ids of the scores of traces, without corrections."""

    name: ClassVar[str] = "list_score_ids"
    trace_ids: tuple[str, ...] = ()
    ids_per_trace_max: int = 1000

    def write(self, binder: Binder) -> str:
        return (
            "SELECT trace_id, arrayMap(pair -> pair.2, arraySlice(arraySort("
            "groupArray((event_time, id))), 1, "
            f"{binder.bind(self.ids_per_trace_max, 'UInt32')})) AS ids\n"
            f"FROM scores FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND trace_id IN {binder.texts(self.trace_ids)}"
            f"{conditions_sql((NOT_CORRECTIONS,), binder)}\n"
            "GROUP BY trace_id"
        )


@dataclass(frozen=True, slots=True)
class DistributeScores(StoreQuery):
    """Select how the values of scores are distributed, by name and type, the most frequent first.

    ``bins`` are the bounds and heights of a histogram of numbers. ``texts`` are the most frequent
    categories, or ``true`` and ``false``, with their approximate numbers.
    """

    name: ClassVar[str] = "distribute_scores"
    conditions: tuple[Condition, ...] = ()
    limit: int = 12
    bins: int = 16
    texts_max: int = 8

    def write(self, binder: Binder) -> str:
        text = "if(data_type = 'BOOLEAN', if(value = 0, 'false', 'true'), string_value)"
        return (
            "SELECT name, data_type, count() AS count,\n"
            "  ifNull(avg(value), 0) AS mean,\n"
            f"  histogram({int(self.bins)})(ifNull(value, 0)) AS bins,\n"
            "  arrayMap(found -> (found.1, found.2),"
            f" topK({int(self.texts_max)}, 3, 'counts')({text})) AS texts\n"
            f"FROM scores FINAL\nWHERE {OF_PROJECT}"
            f"{conditions_sql(self.conditions, binder)}\n"
            "GROUP BY name, data_type\n"
            "ORDER BY count DESC, name, data_type\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
