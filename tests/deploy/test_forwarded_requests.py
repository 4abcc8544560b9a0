"""What requests that proxies forward change: the scheme, not the address of the client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from deploy.embedded.ports import free_ports
from deploy.serving import serving


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = json.dumps([scope["client"][0], scope["scheme"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ({}, "http"),
        ({"x-forwarded-for": "192.0.2.1"}, "http"),
        ({"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}, "https"),
        ({"x-forwarded-proto": "gopher"}, "http"),
    ],
)
async def test_clients_cannot_choose_the_address_by_which_attempts_are_counted(
    headers: dict[str, str], scheme: str
) -> None:
    (port,) = free_ports(1)
    async with serving(echo, "127.0.0.1", port), httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/", headers=headers)

    assert answer.json() == ["127.0.0.1", scheme]
