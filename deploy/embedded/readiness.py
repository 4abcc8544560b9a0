"""Check over HTTP whether a process responds, with one request and no retries."""

from __future__ import annotations

import asyncio

ANSWER_WITHIN_S = 2.0
BODY_MAX_BYTES = 64 * 1024


async def http_answers(port: int, path: str, *, host: str = "127.0.0.1") -> bool:
    """Return whether `GET path` has a 2xx response within ANSWER_WITHIN_S."""
    response = await http_get(port, path, host=host)
    return response is not None and 200 <= response[0] < 300


async def http_get(port: int, path: str, *, host: str = "127.0.0.1") -> tuple[int, bytes] | None:
    """Return status and body of `GET path`; None if there is no response within ANSWER_WITHIN_S.

    The body is cut at BODY_MAX_BYTES.
    """
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode("ascii"))
                response = b""
                while part := await reader.read(BODY_MAX_BYTES - len(response)):
                    response += part
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = response.partition(b"\r\n\r\n")
    parts = head.split(maxsplit=2)
    return (int(parts[1]), body) if len(parts) >= 2 and parts[1].isdigit() else None
