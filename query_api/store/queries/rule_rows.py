"""Query the rows of traces, observations and scores that an alert rule compares one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from query_api.store.rows import SCORE_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

RowSource = Literal["traces", "observations"]

_MICROS: Final = (
    "toUnixTimestamp64Micro(start_time) AS start_us",
    "toUnixTimestamp64Micro(end_time) AS end_us",
)
_COLUMNS: Final[dict[RowSource, tuple[str, ...]]] = {
    "traces": (
        *("project_id", "id", *_MICROS, "row_version", "name", "user_id", "session_id"),
        *("environment", "tags", "metadata"),
        "toInt64(total_cost * 1000000000000) AS total_cost_pico",
    ),
    "observations": (
        *("project_id", "trace_id", "id", *_MICROS, "row_version", "type", "name", "environment"),
        *("level", "model", "service_tier", "provider", "prompt_name", "prompt_version"),
        *("api_key", "user_id", "session_id", "usage"),
    ),
}
_PLAIN: Final[dict[RowSource, frozenset[str]]] = {
    "traces": frozenset({"environment", "user_id", "session_id"}),
    "observations": frozenset(
        {"environment", "type", "name", "level", "model", "service_tier", "provider"}
        | {"prompt_name", "api_key"}
    ),
}
"""Dimensions whose values are those of a column. The evaluation itself applies other filters."""
_VALUES: Final[dict[RowSource, str]] = {
    "traces": "toDecimal256(total_cost, 12)",
    "observations": "toDecimal256(arraySum(mapValues({usage})), 12)",
}
_SCORE_FIELDS: Final = {
    "environment": "environment",
    "score_name": "name",
    "score_source": "source",
}


@dataclass(frozen=True, slots=True)
class ReadRuleRows(StoreQuery):
    """Select rows whose value meets a comparison, in the order of their ends.

    ``from_us`` and ``to_us`` limit the ends, ``since_us`` the starts. ``usage_types`` are those
    that count; empty: all.
    """

    name: ClassVar[str] = "read_rule_rows"
    from_us: int
    to_us: int
    source: RowSource = "traces"
    since_us: int = 0
    comparison: Literal[">", ">=", "<", "<="] = ">"
    threshold: str = "0"
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    usage_types: tuple[str, ...] = ()
    limit: int = 10_000

    def write(self, binder: Binder) -> str:
        usage = "usage"
        if self.usage_types:
            usage = f"mapFilter((k, v) -> has({binder.texts(self.usage_types)}, k), usage)"
        value = _VALUES[self.source].format(usage=usage)
        conditions = "".join(
            f"\n  AND {name} IN {binder.texts(values)}"
            for name, values in self.filters
            if name in _PLAIN[self.source]
        )
        ended = "greatest(start_time, end_time)"
        return (
            f"SELECT {', '.join(_COLUMNS[self.source])}\n"
            f"FROM {self.source} FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND start_time >= {binder.instant(self.since_us)}"
            f"\n  AND start_time < {binder.instant(self.to_us)}"
            f"\n  AND {ended} >= {binder.instant(self.from_us)}"
            f"\n  AND {ended} < {binder.instant(self.to_us)}"
            f"\n  AND {value} {self.comparison} toDecimal256({binder.text(self.threshold)}, 12)"
            f"{conditions}\n"
            f"ORDER BY {ended}, id\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )


@dataclass(frozen=True, slots=True)
class ReadRuleScores(StoreQuery):
    """Select the scores that a rule's filter selects, sorted by time."""

    name: ClassVar[str] = "read_rule_scores"
    from_us: int
    to_us: int
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    limit: int = 10_000

    def write(self, binder: Binder) -> str:
        conditions = "".join(
            f"\n  AND {_SCORE_FIELDS[name]} IN {binder.texts(values)}"
            for name, values in self.filters
            if name in _SCORE_FIELDS
        )
        return (
            f"SELECT {', '.join(SCORE_WHOLE)}\n"
            f"FROM scores FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND event_time >= {binder.instant(self.from_us)}"
            f"\n  AND event_time < {binder.instant(self.to_us)}"
            f"{conditions}\n"
            "ORDER BY event_time, id\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
