"""Create the budgets and alert rules under which `make bench` measures."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import httpx

BUDGET_GROUPS = ("user_id", "session_id", "model", "trace_name")
RULES: tuple[tuple[str, str], ...] = (
    ("p95_latency", "1000"),
    ("avg_latency", "1000"),
    ("error_rate", "0.9"),
    ("rate", "100000000"),
    ("cost", "1000000"),
    ("p99_latency", "1000"),
    ("unpriced_share", "1"),
    ("error_count", "100000000"),
    ("tokens", "1000000000000"),
    ("p50_latency", "1000"),
)
"""Metrics, each with a threshold that the load does not reach."""
WINDOWS = ("10s", "1m", "5m", "1h")
RULE_GROUPS = ("model", "environment", "name", "type")
SPEND_RULE_GROUPS = ("model", "environment", "user_id", "trace_name")
SPEND_METRICS = frozenset({"cost", "tokens", "rate", "error_count", "error_rate"})


async def create_definitions(client: httpx.AsyncClient, budgets: int, rules: int) -> None:
    """Create budgets and rules that match all of the load, each with a ``group_by``."""
    for body in budget_bodies(budgets):
        await _create(client, "/v1/budgets", body)
    for body in rule_bodies(rules):
        await _create(client, "/v1/alert-rules", body)


def budget_bodies(count: int) -> Iterator[dict[str, object]]:
    """Yield the bodies of requests that create budgets."""
    for index in range(count):
        yield {
            "name": f"budget {index}",
            "group_by": [BUDGET_GROUPS[index % len(BUDGET_GROUPS)]],
            "scope": {} if index % 3 else {"environment": "flood"},
            "period": ("hour", "day", "week", "month")[index // 4 % 4],
            "limit_usd": str(1_000 + index),
            "thresholds": [0.5, 0.8, 1],
        }


def rule_bodies(count: int) -> Iterator[dict[str, object]]:
    """Yield the bodies of requests that create rules."""
    for index in range(count):
        metric, threshold = RULES[index % len(RULES)]
        groups = SPEND_RULE_GROUPS if metric in SPEND_METRICS else RULE_GROUPS
        yield {
            "name": f"rule {index}",
            "metric": metric,
            "filter": {} if index % 3 else {"environment": ["flood"]},
            "group_by": [groups[index // len(RULES) % len(groups)]],
            "comparison": ">",
            "threshold": threshold,
            "window": WINDOWS[index % len(WINDOWS)],
            "severity": "warning",
        }


async def _create(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
