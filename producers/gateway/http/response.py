"""Send HTTP responses through ASGI, without a framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.types import Send

JSON_TYPE: Final = b"application/json"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Response:
    """The response of an endpoint."""

    status: int
    body: bytes
    content_type: bytes = JSON_TYPE


async def send_response(
    send: Send, response: Response, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send a response with its content type, its length and ``headers``."""
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [
                (b"content-type", response.content_type),
                (b"content-length", str(len(response.body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": response.body})


async def send_json(
    send: Send, status: int, body: Any, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send ``body`` encoded as JSON."""
    await send_response(send, Response(status, _encode(body)), headers=headers)
