"""Query the users or the sessions of traces with their totals, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

from clickhouse.percentiles import level_sql
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition, conditions_sql
from query_api.store.queries.totals import Owner
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

LISTED_VALUES_MAX: Final = 100
"""Environments, and users of a session, that a row lists."""
SCORE_VALUES_MAX: Final = 20
"""Texts of scores of one name that are counted separately, the most frequent ones."""

_FIRST_US: Final = "toUnixTimestamp64Micro(min(start_time))"
_LAST_US: Final = "toUnixTimestamp64Micro(max(greatest(start_time, end_time)))"
_LATENCY_US: Final = "toUnixTimestamp64Micro(end_time) - toUnixTimestamp64Micro(start_time)"
_LEVELS: Final = ", ".join(map(level_sql, (0.5, 0.95, 1.0)))
_HAS_END: Final = "end_time >= start_time"
_OTHER: Final[Mapping[Owner, str]] = MappingProxyType(
    {"user_id": "session_id", "session_id": "user_id"}
)


class Order(NamedTuple):
    """An aggregate to sort by, and its type."""

    sql: str
    type_name: str = "Int64"


ORDERS: Final[Mapping[str, Order]] = MappingProxyType(
    {
        "last_seen": Order(_LAST_US),
        "first_seen": Order(_FIRST_US),
        "cost": Order("sum(total_cost)", "Decimal(38, 12)"),
        "tokens": Order(f"toInt64(sum({TRACE_COLUMNS['totalTokens'].sql}))"),
        "traces": Order("toInt64(count())"),
        "observations": Order("toInt64(sum(observation_count))"),
        "errors": Order("toInt64(sum(error_count))"),
        "latency": Order(f"toInt64(maxIf({_LATENCY_US}, {_HAS_END}))"),
    }
)
"""What owners can be sorted by; ``latency`` is the longest one."""


@dataclass(frozen=True, slots=True)
class FindOwners(StoreQuery):
    """Select the owners of traces that meet the conditions, with the totals of these traces.

    ``first_from_us`` and ``first_to_us`` (exclusive) limit the start of the first of these traces.
    ``after`` is the value of the order, as text, and the id at the end of the previous page.
    """

    name: ClassVar[str] = "find_owners"
    owner: Owner
    conditions: tuple[Condition, ...] = ()
    order: str = "last_seen"
    descending: bool = True
    limit: int = 50
    offset: int = 0
    after: tuple[str, str] | None = None
    first_from_us: int | None = None
    first_to_us: int | None = None

    def write(self, binder: Binder) -> str:
        order = ORDERS[self.order]
        direction, sign = ("DESC", "<") if self.descending else ("ASC", ">")
        other = _OTHER[self.owner]
        has_other = f"{other} != ''"
        having = _having(self.first_from_us, self.first_to_us, binder)
        if self.after is not None:
            value, owner_id = self.after
            position = f"({binder.bind(value, order.type_name)}, {binder.text(owner_id)})"
            having.append(f"(sort_value, owner_id) {sign} {position}")
        return (
            f"SELECT {self.owner} AS owner_id, {order.sql} AS sort_value,\n"
            "  toString(sort_value) AS sort_text,\n"
            "  toInt64(count()) AS traces, toString(sum(total_cost)) AS cost_usd,\n"
            "  sumMap(usage) AS usage_sums,\n"
            "  toInt64(sum(observation_count)) AS observations,\n"
            "  toInt64(sum(error_count)) AS errors,\n"
            "  toInt64(sum(unpriced_count)) AS unpriced,\n"
            f"  {_FIRST_US} AS first_us, {_LAST_US} AS last_us,\n"
            f"  arrayMap(us -> us / 1000, quantilesExactIf({_LEVELS})({_LATENCY_US},"
            f" {_HAS_END})) AS latencies_ms,\n"
            f"  avgIf({_LATENCY_US}, {_HAS_END}) / 1000 AS mean_ms,\n"
            f"  arraySort(groupUniqArray({LISTED_VALUES_MAX})(environment)) AS environments,\n"
            "  argMin(environment, (start_time, id)) AS first_environment,\n"
            f"  arraySort(groupUniqArrayIf({LISTED_VALUES_MAX})({other}, {has_other})) AS others,\n"
            f"  toInt64(uniqExactIf({other}, {has_other})) AS other_count\n"
            f"FROM traces FINAL\nWHERE {OF_PROJECT} AND {self.owner} != ''"
            f"{conditions_sql(self.conditions, binder)}\n"
            f"GROUP BY {self.owner}\n{_having_sql(having)}"
            f"ORDER BY sort_value {direction}, owner_id {direction}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')} OFFSET {binder.bind(self.offset, 'UInt64')}"
        )


@dataclass(frozen=True, slots=True)
class CountOwners(StoreQuery):
    """Select ``total``, the number of owners that ``FindOwners`` finds."""

    name: ClassVar[str] = "count_owners"
    owner: Owner
    conditions: tuple[Condition, ...] = ()
    first_from_us: int | None = None
    first_to_us: int | None = None

    def write(self, binder: Binder) -> str:
        having = _having(self.first_from_us, self.first_to_us, binder)
        return (
            "SELECT count() AS total\nFROM (\n"
            f"  SELECT {self.owner}, {_FIRST_US} AS first_us\n"
            f"  FROM traces FINAL\n  WHERE {OF_PROJECT} AND {self.owner} != ''"
            f"{conditions_sql(self.conditions, binder)}\n"
            f"  GROUP BY {self.owner}\n{_having_sql(having)})"
        )


@dataclass(frozen=True, slots=True)
class SumScoresOfOwners(StoreQuery):
    """Select number, mean and texts of the scores of owners by name, without corrections.

    They are the scores of their traces and observations, and of the sessions themselves. Of each
    owner, the names with most scores are selected, at most ``names_max``.
    """

    name: ClassVar[str] = "sum_scores_of_owners"
    owner: Owner
    ids: tuple[str, ...]
    names_max: int

    def write(self, binder: Binder) -> str:
        ids = binder.texts(self.ids)
        columns = "name, data_type, value, string_value"
        of_sessions = ""
        if self.owner == "session_id":
            of_sessions = (
                f"  UNION ALL\n  SELECT session_id AS owner_id, {columns}\n"
                f"  FROM scores FINAL\n  WHERE {OF_PROJECT} AND session_id IN {ids}\n"
            )
        return (
            "SELECT owner_id, name, toInt64(count()) AS number,\n"
            "  avgIf(value, data_type IN ('NUMERIC', 'BOOLEAN')) AS mean,\n"
            f"  sumMapIf(map(string_value, toInt64(1)),"
            " data_type IN ('CATEGORICAL', 'BOOLEAN')) AS counts\n"
            f"FROM (\n  SELECT owner_id, {columns}\n"
            f"  FROM (SELECT trace_id, {columns} FROM scores FINAL WHERE {OF_PROJECT}"
            " AND trace_id != '') AS s\n"
            f"  INNER JOIN (SELECT id, {self.owner} AS owner_id FROM traces FINAL"
            f" WHERE {OF_PROJECT} AND {self.owner} IN {ids}) AS t ON s.trace_id = t.id\n"
            f"{of_sessions})\nWHERE data_type != 'CORRECTION'\n"
            "GROUP BY owner_id, name\nORDER BY owner_id, number DESC, name\n"
            f"LIMIT {binder.bind(self.names_max, 'UInt32')} BY owner_id"
        )


def _having(from_us: int | None, to_us: int | None, binder: Binder) -> list[str]:
    having = []
    if from_us is not None:
        having.append(f"first_us >= {binder.bind(from_us, 'Int64')}")
    if to_us is not None:
        having.append(f"first_us < {binder.bind(to_us, 'Int64')}")
    return having


def _having_sql(conditions: list[str]) -> str:
    return f"HAVING {' AND '.join(conditions)}\n" if conditions else ""
