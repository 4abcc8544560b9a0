"""Query the stored sums that an alert rule compares, by pane and by its dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from producers.dimensions.registry import REGISTRY
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

Source = Literal["windows", "spend"]
RESOLUTION_S: Final[dict[Source, int]] = {"windows": 10, "spend": 900}
"""Length of the stored panes of a source."""

_ARRAYS: Final = frozenset(each.name for each in REGISTRY.all() if each.is_array)
_START: Final[dict[Source, str]] = {"windows": "window_start", "spend": "bucket_start"}
_STATES: Final = {
    "latency_bins": "latency_state",
    "ttft_bins": "ttft_state",
    "rate_bins": "rate_state",
}
_TOKENS: Final = (
    "map('input', sum(toInt128(input_tokens)), 'output', sum(toInt128(output_tokens)),"
    " 'total', sum(toInt128(total_tokens)))"
)
_SUMS: Final[dict[Source, str]] = {
    "windows": (
        "  sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS usage,\n"
        "  sumMap(error_types) AS error_types,\n"
        "  sum(unpriced_count) AS unpriced,\n"
        "  sum(cache_exact_count) AS cache_exact,\n"
        "  sum(cache_semantic_count) AS cache_semantic,\n"
        "  sum(cache_miss_count) AS cache_miss"
    ),
    "spend": f"  {_TOKENS} AS usage",
}


@dataclass(frozen=True, slots=True)
class ReadRulePanes(StoreQuery):
    """Select sums by ``start_s`` and ``dimensions``, sorted by start.

    ``filters`` has pairs of a dimension and its allowed values. ``bins`` is the sketch that is
    selected as ``state_hex``; empty: none.
    """

    name: ClassVar[str] = "read_rule_panes"
    from_s: int
    to_s: int
    source: Source = "windows"
    dimensions: tuple[str, ...] = ()
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bins: str = ""
    limit: int = 10_000
    pane_s: int = 0
    """Length of the sums, if that is longer than that of the stored panes."""

    def write(self, binder: Binder) -> str:
        column = start = _START[self.source]
        seconds = f"toUnixTimestamp({column})"
        if self.pane_s:
            pane_s = binder.bind(self.pane_s, "UInt32")
            seconds = f"toUnixTimestamp({column}) - toUnixTimestamp({column}) % {pane_s}"
            start = "start_s"
        of_group = "".join(f", {name}" for name in self.dimensions)
        named = ", ".join(f"'{name}', {name}" for name in self.dimensions)
        state = ""
        if self.bins:
            merged = f"quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)({_STATES[self.bins]})"
            state = f",\n  hex({merged}) AS state_hex"
        conditions = "".join(
            f"\n  AND {self._condition(name, values, binder)}" for name, values in self.filters
        )
        return (
            f"SELECT {seconds} AS start_s,\n"
            f"  {f'map({named})' if named else 'map()'} AS dimensions,\n"
            "  sum(observation_count) AS observations,\n"
            "  sum(error_count) AS errors,\n"
            "  toString(sum(total_cost)) AS cost_usd,\n"
            f"{_SUMS[self.source]}{state}\n"
            f"FROM {self.source} FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND {column} >= toDateTime({binder.bind(self.from_s, 'UInt32')}, 'UTC')"
            f"\n  AND {column} < toDateTime({binder.bind(self.to_s, 'UInt32')}, 'UTC')"
            f"{conditions}\n"
            f"GROUP BY {start}{of_group}\n"
            f"ORDER BY {start}{of_group}\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )

    def _condition(self, name: str, values: tuple[str, ...], binder: Binder) -> str:
        wanted = binder.texts(values)
        if name in _ARRAYS:
            return f"hasAny(JSONExtract({name}, 'Array(String)'), {wanted})"
        return f"{name} IN {wanted}"
