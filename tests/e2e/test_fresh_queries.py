"""The watermark of a query follows what an installation has accepted."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.e2e.conftest import WITHIN_S


def iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def test_an_event_before_the_watermark_is_included(client: httpx.Client) -> None:
    sent_s = time.time()
    event = {
        "id": "watermark", "type": "generation-create", "timestamp": iso(sent_s),
        "body": {
            "id": "watermark", "traceId": "watermark", "model": "fresh-model",
            "startTime": iso(sent_s), "endTime": iso(sent_s + 1), "usage": {"input": 3},
        },
    }  # fmt: skip
    answer = client.post("/api/public/ingestion", json={"batch": [event]})
    assert answer.status_code == 207, answer.text
    body = {
        "measures": ["count", "tokens.input", "latency_ms.p50"],
        "filter": {"model": ["fresh-model"]},
        "from": iso(sent_s - 3_600), "to": iso(sent_s + 3_600),
    }  # fmt: skip
    accepted = iso(time.time())
    deadline = time.monotonic() + WITHIN_S
    found: dict[str, Any] = {}
    while (found.get("meta", {}).get("fresh_until") or "") < accepted:
        assert time.monotonic() < deadline, found
        answer = client.post("/v1/query", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
    (row,) = found["data"]
    assert (row["values"]["count"], row["values"]["tokens.input"]) == (1, 3)
    assert "stream" in found["meta"]["sources"]
    explained = client.post("/v1/query/explain", json=body).json()
    assert explained["source"] == "windows"
