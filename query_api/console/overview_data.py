"""Read what the overview shows, with the queries of ``/v1/query``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from producers.token_sides import tokens_of
from query_api.console.time_ranges import PRESETS, TimeRange
from query_api.context import AppContext
from query_api.errors import BadRequestError
from query_api.money import pico_of
from query_api.query.answers import AnswerRow, answer_of
from query_api.times import SECOND_US, iso
from query_api.v1.query_bodies import QueryBody
from tracemill.clock import now_us

STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {"1h": "1m", "6h": "5m", "24h": "15m", "7d": "1h", "30d": "1d"}
)
"""Steps of the charts by preset."""
RANGE_MAX_S: Final = 92 * 86_400
"""Maximum length of the range."""
_STEPS_OF_LENGTHS: Final = ((3_600, "1m"), (21_600, "5m"), (172_800, "15m"), (1_209_600, "1h"))
"""Maximum lengths in seconds of ranges without a preset, with their steps; longer ones: a day."""
BUCKET_US: Final = 900 * SECOND_US
"""Spend by user is stored in buckets of this length."""
TOP: Final = 8
"""Models and users that are shown; the others are combined."""
CALLS: Final = ("GENERATION", "EMBEDDING")
_TOTALS: Final = ("cost_usd", "count", "errors", "tokens")
_LATENCIES: Final = ("count", "latency_ms.p50", "latency_ms.p95", "ttft_ms.p95")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a period; durations are in microseconds, and None if there are none."""

    cost_pico: int
    observations: int
    errors: int
    tokens: int
    calls: int
    latency_p50_us: float | None
    latency_p95_us: float | None
    ttft_p95_us: float | None

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.observations if self.observations else None


@dataclass(frozen=True, slots=True)
class Point:
    """A step of the charts."""

    start_us: int
    end_us: int
    cost_pico: int
    observations: int
    errors: int
    latency_p95_us: float
    """Zero: no call ended in the step."""


@dataclass(frozen=True, slots=True)
class Share:
    """A model or a user, and its part of the cost."""

    name: str
    cost_pico: int
    is_other: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the overview; ``before`` are the totals of the period before the range."""

    now: Totals
    before: Totals
    points: Sequence[Point]
    models: Sequence[Share]
    users: Sequence[Share]
    from_us: int
    to_us: int
    fresh_until_us: int | None
    """All events that were accepted before this time are included; None: unknown."""


async def read_overview(
    context: AppContext, project_id: str, time_range: TimeRange, zone: str
) -> Overview:
    """Read the totals, the charts and the largest shares of a range.

    Raises:
        BadRequestError: the range is empty or too long.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    at_us = now_us()
    to_us = at_us if time_range.to_us is None else time_range.to_us
    from_us = to_us - 86_400 * SECOND_US if time_range.from_us is None else time_range.from_us
    if not 0 < to_us - from_us <= RANGE_MAX_S * SECOND_US:
        days = RANGE_MAX_S // 86_400
        message = f"from: must be before `to`, and at most {days} days earlier"
        raise BadRequestError(message, field="from")
    step = STEPS.get(time_range.preset) or _step_of((to_us - from_us) // SECOND_US)

    async def rows(measures: Sequence[str], **more: Any) -> list[AnswerRow]:
        given = {"from": iso(from_us), "to": iso(to_us), "time_zone": zone, **more}
        body = QueryBody.model_validate({"measures": list(measures), **given})
        request = body.request(project_id, at_us, context.settings)
        return (await answer_of(context.query_engine, request)).rows

    whole_buckets = {
        "from": iso(from_us // BUCKET_US * BUCKET_US),
        "to": iso(-(-to_us // BUCKET_US) * BUCKET_US),
    }
    of_calls = {"filter": {"type": list(CALLS)}}
    totals, latencies, steps, latency_steps, models, users = await asyncio.gather(
        rows(_TOTALS, compare_with="previous"),
        rows(_LATENCIES, compare_with="previous", **of_calls),
        rows(("cost_usd", "count", "errors"), step=step),
        rows(("latency_ms.p95",), step=step, **of_calls),
        rows(("cost_usd",), group_by=["model"], top=TOP),
        rows(("cost_usd",), group_by=["user_id"], top=TOP, **whole_buckets),
    )
    return Overview(
        _totals(totals[0].values, latencies[0].values),
        _totals(totals[0].previous or {}, latencies[0].previous or {}),
        _points(steps, latency_steps),
        _shares(models, "model"),
        _shares(users, "user_id"),
        from_us,
        to_us,
        context.query_engine.fresh_until_us(),
    )


def _step_of(length_s: int) -> str:
    return next((step for limit_s, step in _STEPS_OF_LENGTHS if length_s <= limit_s), "1d")


def _totals(sums: Mapping[str, Any], latencies: Mapping[str, Any]) -> Totals:
    def micros(name: str) -> float | None:
        value = latencies.get(name)
        return None if value is None else value * 1_000

    return Totals(
        pico_of(sums.get("cost_usd") or "0"),
        sums.get("count") or 0,
        sums.get("errors") or 0,
        tokens_of(sums.get("tokens") or {})[2],
        latencies.get("count") or 0,
        micros("latency_ms.p50"),
        micros("latency_ms.p95"),
        micros("ttft_ms.p95"),
    )


def _points(steps: Sequence[AnswerRow], latency_steps: Sequence[AnswerRow]) -> list[Point]:
    latencies = {row.start_s: row.values["latency_ms.p95"] for row in latency_steps}
    return [
        Point(
            (row.start_s or 0) * SECOND_US,
            (row.end_s or 0) * SECOND_US,
            pico_of(row.values["cost_usd"] or "0"),
            row.values["count"] or 0,
            row.values["errors"] or 0,
            (latencies.get(row.start_s) or 0) * 1_000,
        )
        for row in steps
    ]


def _shares(rows: Sequence[AnswerRow], dimension: str) -> list[Share]:
    shares = [
        Share(row.group.get(dimension, ""), pico_of(row.values["cost_usd"] or "0"), row.is_other)
        for row in rows
    ]
    found = [each for each in shares if each.cost_pico]
    return sorted(found, key=lambda each: (each.is_other, -each.cost_pico))


assert STEPS.keys() == PRESETS.keys()  # every preset has a step
