"""Calls from both doors show their caches, first tokens, providers and errors in windows."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.fixtures.installation import Server

WITHIN_S = 60.0
STARTED = datetime.now(UTC) - timedelta(minutes=1)


def at(seconds: float) -> str:
    return (STARTED + timedelta(seconds=seconds)).isoformat()


def event(**body: Any) -> dict[str, Any]:
    given = {"id": uuid.uuid4().hex, "traceId": uuid.uuid4().hex, "name": "cached call"}
    given |= {"model": "gpt-4o", "startTime": at(0), "endTime": at(2)}
    return {
        "id": uuid.uuid4().hex,
        "type": "generation-create",
        "timestamp": datetime.now(UTC).isoformat(),
        "body": given | body,
    }


def ns(seconds: float) -> str:
    return str(int((STARTED + timedelta(seconds=seconds)).timestamp() * 1_000_000) * 1_000)


def span(**attributes: Any) -> dict[str, Any]:
    values = [
        {"key": key, "value": {"boolValue" if isinstance(value, bool) else "stringValue": value}}
        for key, value in attributes.items()
    ]
    return {
        "traceId": uuid.uuid4().hex,
        "spanId": uuid.uuid4().hex[:16],
        "name": "cached call",
        "startTimeUnixNano": ns(0),
        "endTimeUnixNano": ns(2),
        "attributes": values,
        "status": {"code": 2, "message": "openai.RateLimitError: slow down"},
    }


def test_caches_first_tokens_and_errors_of_calls_are_shown(
    installation: Server, client: httpx.Client
) -> None:
    batch = [
        event(
            usageDetails={"input": 1_000, "input_cached_tokens": 1_000, "output": 100},
            completionStartTime=at(0.5),
        ),
        event(usageDetails={"input": 1_000}, metadata={"cache_hit": True}),
        event(usageDetails={"input": 1_000}, metadata={"cache_hit": False}),
    ]
    assert client.post("/api/public/ingestion", json={"batch": batch}).status_code == 207
    marks = {"cache_hit": True, "cache.type": "semantic", "gen_ai.system": "OpenAI"}
    spans = [{"scopeSpans": [{"spans": [span(**marks)]}]}]
    assert client.post("/v1/traces", json={"resourceSpans": spans}).status_code == 200
    asked = {"name": "cached call", "from": at(-60), "to": at(120), "group_by": "provider"}
    until_s = time.monotonic() + WITHIN_S
    windows: list[dict[str, Any]] = []
    while sum(each["count"] for each in windows) < 4:
        assert time.monotonic() < until_s, windows
        answer = client.get("/v1/windows", params=asked | {"step": "1h"})
        assert answer.status_code == 200, answer.text
        windows = answer.json()["data"]
    assert {each["provider"] for each in windows} == {"openai"}
    cached = client.get("/v1/cache", params=asked).json()
    # An input token of gpt-4o costs $2.50 per million, a cached one $1.25.
    assert cached["prompt"] == {
        "input_tokens": 4_000,
        "cached_tokens": 1_000,
        "hit_ratio": 0.25,
        "saved_usd": "0.00125",
    }
    assert cached["application"] == {
        "exact": 1,
        "semantic": 1,
        "miss": 1,
        "hit_rate": pytest.approx(2 / 3, abs=1e-5),
        "saved_usd": "0.0025",
    }
    by_kind = client.get("/v1/windows", params=asked | {"step": "1d"}).json()["data"]
    assert sum(each["errors"] for each in by_kind) == 1
    assert {"RateLimitError": 1} in [each["error_types"] for each in by_kind]
    (ttft,) = {each["ttft_ms"]["p50"] for each in by_kind}
    assert ttft == pytest.approx(500, rel=0.011)
    (rate,) = {each["output_tokens_per_s"]["p50"] for each in by_kind}
    assert rate == pytest.approx(50, rel=0.011)
