"""Whether a process answers: one question each, without a client library's retries."""

from __future__ import annotations

import asyncio

ANSWER_WITHIN_S = 2.0


async def http_answers(port: int, path: str, *, host: str = "127.0.0.1") -> bool:
    """Whether `GET path` is answered with a 2xx status within ANSWER_WITHIN_S."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode("ascii"))
                status_line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    parts = status_line.split()
    return len(parts) >= 2 and parts[1].startswith(b"2")
