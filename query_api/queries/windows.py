"""What happened when: minute windows merged into steps, by model, environment and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from query_api.conditions import Column, Condition, Kind, conditions_sql
from query_api.sql import OF_PROJECT, Binder, Question

Step = Literal["1m", "1h", "1d"]
Dimension = Literal["model", "environment", "name"]

WINDOW_COLUMNS: Final[Mapping[Dimension, Column]] = MappingProxyType(
    {
        "model": Column("model", Kind.TEXT),
        "environment": Column("environment", Kind.TEXT),
        "name": Column("name", Kind.TEXT),
    }
)
_START_OF: Final[Mapping[Step, str]] = MappingProxyType(
    {"1m": "toStartOfMinute", "1h": "toStartOfHour", "1d": "toStartOfDay"}
)


@dataclass(frozen=True, slots=True)
class ReadWindows(Question):
    """``start_s`` and the dimensions of ``group_by``, with count, errors, cost, tokens and latency quantiles (µs), by start.

    Whole minutes from ``from_s`` (inclusive) to ``to_s`` (exclusive), in steps of the calendar of ``time_zone``. Windows that a correction emptied
    are left out. Quantiles come from merging the
    sketches of the windows, so they are those of the union, within the sketch's 1 %. At most ``limit`` rows.
    """

    name: ClassVar[str] = "read_windows"
    from_s: int
    to_s: int
    step: Step = "1m"
    time_zone: str = "UTC"
    group_by: tuple[Dimension, ...] = ()
    conditions: tuple[Condition, ...] = ()
    limit: int = 1000

    def write(self, binder: Binder) -> str:
        zone = binder.text(self.time_zone)
        groups = "".join(f", {WINDOW_COLUMNS[dimension].sql}" for dimension in self.group_by)
        between = (
            f"\n  AND window_start >= toDateTime({binder.bind(self.from_s, 'UInt32')}, 'UTC')"
            f"\n  AND window_start < toDateTime({binder.bind(self.to_s, 'UInt32')}, 'UTC')"
        )
        return (
            f"SELECT toUnixTimestamp({_START_OF[self.step]}(window_start, {zone})) AS start_s{groups},\n"
            "  sum(observation_count) AS count,\n"
            "  sum(error_count) AS errors,\n"
            "  toString(sum(total_cost)) AS cost_usd,\n"
            "  sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens,\n"
            "  quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_state) AS latency_us\n"
            f"FROM windows FINAL\nWHERE {OF_PROJECT}{between}"
            f"{conditions_sql(self.conditions, binder)}\n"
            f"GROUP BY start_s{groups}\n"
            "HAVING sum(observation_count) != 0 OR sum(total_cost) != 0\n"
            f"ORDER BY start_s{groups}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
