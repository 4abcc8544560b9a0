"""Read what the overview shows, with the queries of ``/v1/query``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from producers.token_sides import OTHER, side_of, tokens_of
from query_api.console.dimension_filters import NO_FILTERS, Filters
from query_api.console.query_rows import answered_rows
from query_api.console.time_ranges import PRESETS, TimeRange
from query_api.context import AppContext
from query_api.errors import BadRequestError
from query_api.money import pico_of
from query_api.query.answers import AnswerRow
from query_api.query.chart_kinds import step_of
from query_api.times import SECOND_US, iso
from query_api.v1.caches import Caches, CacheTotals
from tracemill.clock import now_us

STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {"1h": "1m", "6h": "5m", "24h": "15m", "7d": "1h", "30d": "1d"}
)
"""Steps of the charts by preset."""
RANGE_MAX_S: Final = 92 * 86_400
"""Maximum length of the range."""
BUCKET_US: Final = 900 * SECOND_US
"""Spend by user is stored in buckets of this length."""
EXACT_US: Final = 3_600 * SECOND_US
"""Ranges up to this length are exact: whole buckets at both ends would change shares too much."""
TOP: Final = 6
"""Models, users, names and prompts that are shown; the others are combined."""
TYPES_MAX: Final = 20
"""Types of tokens that are shown."""
TOTAL: Final = "total"
"""The usage type that repeats the others."""
TOPS: Final = ("model", "user_id", "trace_name", "prompt_name")
CALLS: Final = ("GENERATION", "EMBEDDING")
MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {"cost": "cost_usd", "observations": "count", "errors": "errors"}
)
"""Measures by which tops are chosen, by their names in the query string."""
_SUMS: Final = (
    "cost_usd", "count", "errors", "tokens", "cache_exact", "cache_semantic", "cache_miss",
    "prompt_cache_saved_usd", "app_cache_saved_usd", "unpriced",
)  # fmt: skip
_TIMES: Final = (
    "count", "latency_ms.p50", "latency_ms.p95", "latency_ms.p99", "ttft_ms.p50", "ttft_ms.p95",
    "ttft_ms.p99",
)  # fmt: skip
_STEP_TIMES: Final = ("latency_ms.p50", "latency_ms.p95", "latency_ms.p99")
_OF_SPEND: Final = frozenset({"user_id", "trace_name"})


@dataclass(frozen=True, slots=True)
class OverviewQuery:
    """What the query string of the page selects."""

    range: TimeRange
    filters: Filters = NO_FILTERS
    measure: str = "cost"
    """A key of ``MEASURES``."""
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a period; durations are in microseconds, and None if there are none."""

    cost_pico: int
    observations: int
    errors: int
    tokens_in: int
    tokens_out: int
    tokens: int
    tokens_by_type: Mapping[str, int]
    """Tokens by usage type, such as cached or reasoning ones, the largest first."""
    caches: Caches
    calls: int
    traces: int
    latency_us: Mapping[str, float | None]
    """Percentiles by name, such as ``p95``."""
    ttft_us: Mapping[str, float | None]
    unpriced: int
    """Calls without a price, which the cost does not include."""

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.observations if self.observations else None

    @property
    def saved_pico(self) -> int:
        prompt, application = self.caches.prompt, self.caches.application
        return pico_of(prompt.saved_usd) + pico_of(application.saved_usd)


@dataclass(frozen=True, slots=True)
class Point:
    """A step of the charts."""

    start_us: int
    end_us: int
    cost_pico: int
    observations: int
    errors: int
    tokens: Mapping[str, int]
    """By usage type, as in ``Totals``."""
    latency_us: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Share:
    """A model, user, name or prompt, and its part of the measure by which it was chosen."""

    name: str
    cost_pico: int
    observations: int
    errors: int
    unpriced: int
    """Calls without a price, which the cost does not include."""
    is_other: bool

    def value(self, measure: str) -> int:
        return {
            "cost": self.cost_pico, "observations": self.observations, "errors": self.errors
        }[measure]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the overview; ``before`` are the totals of the period before the range."""

    now: Totals
    before: Totals
    points: Sequence[Point]
    from_us: int
    to_us: int
    step: str
    fresh_until_us: int | None
    """All events that were accepted before this time are included; None: unknown."""


@dataclass(frozen=True, slots=True)
class _CacheAmounts:
    tokens: Mapping[str, int]
    cache_exact: int
    cache_semantic: int
    cache_miss: int
    cached_saved_usd: str
    app_saved_usd: str


async def read_overview(
    context: AppContext, project_id: str, query: OverviewQuery, zone: str
) -> Overview:
    """Read the totals and the charts of a range.

    Totals of the range that are sums are those of the steps. Percentiles are queried for the whole
    range, because those of steps cannot be combined.

    Raises:
        BadRequestError: the range is empty or too long, or a filter does not fit.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    at_us = now_us()
    from_us, to_us = bounds_us(query.range, at_us)
    step = STEPS.get(query.range.preset) or step_of((to_us - from_us) // SECOND_US)
    filters = query.filters.by_name

    def rows(measures: Sequence[str], **more: Any) -> Awaitable[list[AnswerRow]]:
        given = {"from": iso(from_us), "to": iso(to_us), "time_zone": zone, "filter": filters}
        body = {"measures": list(measures), **given, **more}
        return answered_rows(context, project_id, body, now_us())

    of_calls = filters | {"type": list(filters.get("type", CALLS))}
    is_of_traces = query.filters.is_of_traces and "level" not in filters
    of_traces = {_OF_TRACES.get(name, name): values for name, values in filters.items()}
    traces = (
        rows(("count",), view="traces", compare_with="previous", filter=of_traces)
        if is_of_traces
        else rows(("traces",), compare_with="previous")
    )
    earlier = {"from": iso(2 * from_us - to_us), "to": iso(from_us)}
    steps, before, times, step_times, counts = await asyncio.gather(
        rows(_SUMS, step=step),
        rows(_SUMS, **earlier),
        rows(_TIMES, compare_with="previous", filter=of_calls),
        rows(_STEP_TIMES, step=step, filter=of_calls),
        traces,
    )
    return Overview(
        _totals([row.values for row in steps], times[0].values, counts[0].values),
        _totals([row.values for row in before], times[0].previous or {}, counts[0].previous or {}),
        _points(steps, step_times),
        from_us,
        to_us,
        step,
        context.query_engine.fresh_until_us(),
    )


async def read_tops(
    context: AppContext, project_id: str, query: OverviewQuery
) -> Mapping[str, Sequence[Share]]:
    """Read the largest shares of a measure by each dimension of ``TOPS``.

    Raises:
        BadRequestError, TooCostlyError, UnavailableError: as ``read_overview``.
    """
    from_us, to_us = bounds_us(query.range, now_us())
    order = MEASURES[query.measure]
    measures = [order, *(each for each in MEASURES.values() if each != order), "unpriced"]

    def top(dimension: str) -> Awaitable[list[AnswerRow]]:
        # Whole buckets of spend answer faster than observations.
        is_of_buckets = dimension in _OF_SPEND and to_us - from_us > EXACT_US
        unit_us = BUCKET_US if is_of_buckets else SECOND_US
        body = {
            "measures": measures,
            "group_by": [dimension],
            "top": TOP,
            "from": iso(from_us // unit_us * unit_us),
            "to": iso(-(-to_us // unit_us) * unit_us),
            "filter": query.filters.by_name,
        }
        return answered_rows(context, project_id, body, now_us())

    found = await asyncio.gather(*(top(each) for each in TOPS))
    return {
        dimension: _shares(rows, dimension, query.measure)
        for dimension, rows in zip(TOPS, found, strict=True)
    }


_OF_TRACES: Final = MappingProxyType({"trace_name": "name"})
"""Names of dimensions in the view of traces, where they differ."""


def bounds_us(time_range: TimeRange, at_us: int) -> tuple[int, int]:
    """Return the bounds of a range; by default, the day before ``at_us``.

    Raises:
        BadRequestError: the range is empty or too long.
    """
    to_us = at_us if time_range.to_us is None else time_range.to_us
    from_us = to_us - 86_400 * SECOND_US if time_range.from_us is None else time_range.from_us
    if not 0 < to_us - from_us <= RANGE_MAX_S * SECOND_US:
        days = RANGE_MAX_S // 86_400
        message = f"from: must be before `to`, and at most {days} days earlier"
        raise BadRequestError(message, field="from")
    return from_us, to_us


def _totals(
    sums: Sequence[Mapping[str, Any]], times: Mapping[str, Any], counts: Mapping[str, Any]
) -> Totals:
    def of(name: str) -> int:
        return sum(each.get(name) or 0 for each in sums)

    caches = CacheTotals.of(_cache_amounts(each) for each in sums)
    sides = [tokens_of(each.get("tokens") or {}) for each in sums]
    return Totals(
        sum(pico_of(each.get("cost_usd") or "0") for each in sums),
        of("count"),
        of("errors"),
        sum(each[0] for each in sides),
        sum(each[1] for each in sides),
        sum(each[2] for each in sides),
        _tokens_by_type(sums),
        caches.shown(),
        times.get("count") or 0,
        counts.get("count") or counts.get("traces") or 0,
        _micros(times, "latency_ms", ("p50", "p95", "p99")),
        _micros(times, "ttft_ms", ("p50", "p95", "p99")),
        of("unpriced"),
    )


def _tokens_by_type(sums: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for each in sums:
        found.update(each.get("tokens") or {})
    of_tokens = [(name, n) for name, n in found.items() if name != TOTAL and side_of(name) != OTHER]
    return dict(sorted(of_tokens, key=lambda each: -each[1])[:TYPES_MAX])


def _cache_amounts(values: Mapping[str, Any]) -> _CacheAmounts:
    return _CacheAmounts(
        values.get("tokens") or {},
        values.get("cache_exact") or 0,
        values.get("cache_semantic") or 0,
        values.get("cache_miss") or 0,
        values.get("prompt_cache_saved_usd") or "0",
        values.get("app_cache_saved_usd") or "0",
    )


def _micros(
    values: Mapping[str, Any], measure: str, names: Sequence[str]
) -> Mapping[str, float | None]:
    found = {name: values.get(f"{measure}.{name}") for name in names}
    return {name: None if each is None else each * 1_000 for name, each in found.items()}


def _points(steps: Sequence[AnswerRow], times: Sequence[AnswerRow]) -> list[Point]:
    by_start = {row.start_s: row.values for row in times}
    return [
        Point(
            (row.start_s or 0) * SECOND_US,
            (row.end_s or 0) * SECOND_US,
            pico_of(row.values["cost_usd"] or "0"),
            row.values["count"] or 0,
            row.values["errors"] or 0,
            row.values["tokens"] or {},
            _micros(by_start.get(row.start_s, {}), "latency_ms", ("p50", "p95", "p99")),
        )
        for row in steps
    ]


def _shares(rows: Sequence[AnswerRow], dimension: str, measure: str) -> list[Share]:
    shares = [
        Share(
            row.group.get(dimension, ""),
            pico_of(row.values["cost_usd"] or "0"),
            row.values["count"] or 0,
            row.values["errors"] or 0,
            row.values["unpriced"] or 0,
            row.is_other,
        )
        for row in rows
    ]
    found = [
        each for each in shares if each.value(measure) or (measure == "cost" and each.unpriced)
    ]
    return sorted(found, key=lambda each: (each.is_other, -each.value(measure)))


assert STEPS.keys() == PRESETS.keys()  # every preset has a step


def largest(shares: Sequence[Share], measure: str) -> int:
    """Return the largest value of shares that are not combined, at least one."""
    return max((each.value(measure) for each in shares if not each.is_other), default=1) or 1
