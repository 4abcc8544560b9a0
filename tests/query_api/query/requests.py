"""Queries of a time range that has all stored rows."""

from __future__ import annotations

from typing import Any

from tests.query_api.harness import Api

RANGE = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-25T00:00:00Z"}


async def queried(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.client.post("/v1/query", json={**RANGE, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
