"""Define users and sessions with the totals of their traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from producers.token_sides import tokens_of
from query_api.money import pico_of, usd_text
from query_api.store.owner_reading import OwnerRow, ScoreSums
from query_api.times import iso
from query_api.v1.spend_amounts import Tokens


class Latencies(msgspec.Struct, gc=False):
    """Latency of traces that have an end, in milliseconds; null if there are none."""

    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


class ScoreSummary(msgspec.Struct, gc=False):
    count: int
    mean: float | None
    """Mean of numeric scores and of boolean ones (0 or 1); null if there are none."""
    values: dict[str, int]
    """Number of categorical and boolean scores by text, the most frequent ones."""


class OwnerTotals(msgspec.Struct, kw_only=True):
    traces: int
    observations: int
    errors: int
    cost_usd: str
    unpriced: int
    """Number of observations without a known price; the cost does not include them."""
    tokens: Tokens
    latency_ms: Latencies
    first_seen: str
    """Start of the first trace."""
    last_seen: str
    """Latest end of a trace."""
    environments: list[str]
    scores: dict[str, ScoreSummary]
    """Scores of the traces and observations, and of the session itself, by name."""


class SessionOut(OwnerTotals, kw_only=True):
    id: str
    user_ids: list[str]
    """At most 100 of ``users``."""
    users: int


class UserOut(OwnerTotals, kw_only=True):
    id: str
    sessions: int


def session_out(row: OwnerRow, scores: Sequence[ScoreSums]) -> SessionOut:
    return SessionOut(
        id=row.owner_id, user_ids=row.others, users=row.other_count, **_totals(row, scores)
    )


def user_out(row: OwnerRow, scores: Sequence[ScoreSums]) -> UserOut:
    return UserOut(id=row.owner_id, sessions=row.other_count, **_totals(row, scores))


def _totals(row: OwnerRow, scores: Sequence[ScoreSums]) -> dict[str, Any]:
    has_latency = row.mean_ms is not None
    p50, p95, longest = row.latencies_ms if has_latency else (None, None, None)
    return {
        "traces": row.traces,
        "observations": row.observations,
        "errors": row.errors,
        "cost_usd": usd_text(pico_of(row.cost_usd)),
        "unpriced": row.unpriced,
        "tokens": Tokens(*tokens_of(row.usage_sums)),
        "latency_ms": Latencies(row.mean_ms, p50, p95, longest),
        "first_seen": iso(row.first_us),
        "last_seen": iso(row.last_us),
        "environments": row.environments,
        "scores": {each.name: ScoreSummary(each.number, each.mean, each.counts) for each in scores},
    }
