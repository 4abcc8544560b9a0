"""Requests to the routes of Langfuse."""

from __future__ import annotations

from typing import Any

import httpx

from tests.query_api.harness import Api

PROMPTS = "/api/public/v2/prompts"


async def create(api: Api, name: str = "greet", prompt: Any = "Hello", **fields: Any) -> Any:
    response = await api.client.post(PROMPTS, json={"name": name, "prompt": prompt, **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def get(api: Api, name: str = "greet", **params: Any) -> Any:
    response = await api.client.get(f"{PROMPTS}/{name}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return response.text
