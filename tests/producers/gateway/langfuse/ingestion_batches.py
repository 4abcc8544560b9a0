"""Batches of the ingestion API as clients send them."""

from __future__ import annotations

from typing import Any

import httpx

URL = "/api/public/ingestion"
NOW = "2024-11-21T02:45:22.921597Z"
SDK = {"x_langfuse_sdk_name": "python", "x_langfuse_sdk_version": "2.60.10"}


def event(
    kind: str, body: dict[str, Any], *, event_id: str = "e1", at: str = NOW
) -> dict[str, Any]:
    return {"id": event_id, "type": kind, "timestamp": at, "body": body}


async def send(client: httpx.AsyncClient, *events: Any, **options: Any) -> httpx.Response:
    return await client.post(URL, json={"batch": list(events)}, **options)
