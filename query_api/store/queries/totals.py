"""Query what one user or one session has spent, by day and model, and its traces.

The user and the session are part of the sorting key of ``spend``, so rows that replace each other
have the same. The rows of one user are therefore selected first, and of these the newest versions,
which is cheaper than ``FINAL``. In ``traces`` they may differ between versions of a row. All traces
that ever had the user are found first, and then their newest versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from producers.dimensions.registry import REGISTRY
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery
from query_api.store.steps import Runs, step_start_sql

Owner = Literal["user_id", "session_id"]
"""Column of ``spend`` and ``traces`` by which rows are selected."""

_CELL: Final = ", ".join(["bucket_start", *(each.name for each in REGISTRY.of_spend())])
_SUMS: Final = (
    "toString(sum(cost)) AS cost_usd,\n"
    "  toInt64(sum(inputs)) AS input_tokens,\n"
    "  toInt64(sum(outputs)) AS output_tokens,\n"
    "  toInt64(sum(tokens)) AS total_tokens,\n"
    "  toInt64(sum(unpriced_calls)) AS unpriced"
)
_CHANGED: Final = (
    "HAVING sum(cost) != 0 OR sum(inputs) != 0 OR sum(outputs) != 0 OR sum(tokens) != 0"
    " OR sum(unpriced_calls) != 0"
)


def _newest(owner: Owner, value: str, binder: Binder, between: str = "") -> str:
    """Return a subquery with the newest versions of the rows of an owner."""
    return (
        "(\n  SELECT bucket_start, model, total_cost AS cost, input_tokens AS inputs,\n"
        "    output_tokens AS outputs, total_tokens AS tokens,\n"
        "    unpriced_count AS unpriced_calls\n"
        f"  FROM spend\n  WHERE {OF_PROJECT} AND {owner} = {binder.text(value)}{between}\n"
        f"  ORDER BY row_version DESC\n  LIMIT 1 BY {_CELL}\n)"
    )


@dataclass(frozen=True, slots=True)
class SpendByDay(StoreQuery):
    """Select cost and tokens of an owner by day and model; only rows with any of them.

    ``runs`` defines the days and must cover ``from_s`` to ``to_s`` (exclusive).
    """

    name: ClassVar[str] = "spend_by_day"
    owner: Owner
    value: str
    from_s: int
    to_s: int
    runs: Runs
    limit: int = 1000

    def write(self, binder: Binder) -> str:
        times, start = step_start_sql(self.runs, "bucket_start", binder)
        between = (
            f"\n    AND bucket_start >= toDateTime({binder.bind(self.from_s, 'UInt32')}, 'UTC')"
            f"\n    AND bucket_start < toDateTime({binder.bind(self.to_s, 'UInt32')}, 'UTC')"
        )
        return (
            f"{times}SELECT {start}, model,\n  {_SUMS}\n"
            f"FROM {_newest(self.owner, self.value, binder, between)}\n"
            f"GROUP BY start_s, model\n{_CHANGED}\nORDER BY start_s, sum(cost) DESC, model\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class SpendByModel(StoreQuery):
    """Select cost and tokens of an owner by model, the most expensive first."""

    name: ClassVar[str] = "spend_by_model"
    owner: Owner
    value: str
    limit: int = 1000

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT model,\n  {_SUMS}\nFROM {_newest(self.owner, self.value, binder)}\n"
            f"GROUP BY model\n{_CHANGED}\nORDER BY sum(cost) DESC, model\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class SumTraces(StoreQuery):
    """Select the number of an owner's traces, with their totals and their first and last time."""

    name: ClassVar[str] = "sum_traces"
    owner: Owner
    value: str

    def write(self, binder: Binder) -> str:
        value = binder.text(self.value)
        return (
            "SELECT toInt64(count()) AS traces, toString(sum(total_cost)) AS cost_usd,\n"
            "  toInt64(sum(observation_count)) AS observations,\n"
            "  toInt64(sum(error_count)) AS errors,\n"
            "  toInt64(sum(unpriced_count)) AS unpriced,\n"
            "  toUnixTimestamp64Micro(min(start_time)) AS first_us,\n"
            "  toUnixTimestamp64Micro(max(greatest(start_time, end_time))) AS last_us\n"
            f"FROM (\n  SELECT {self.owner} AS owner, is_deleted, total_cost, observation_count,\n"
            "    error_count, unpriced_count, start_time, end_time\n"
            f"  FROM traces\n  WHERE {OF_PROJECT} AND id IN (\n"
            f"    SELECT id FROM traces WHERE {OF_PROJECT} AND {self.owner} = {value}\n  )\n"
            "  ORDER BY row_version DESC, is_deleted\n  LIMIT 1 BY id\n)\n"
            f"WHERE owner = {value} AND is_deleted = 0"
        )
