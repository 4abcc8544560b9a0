"""Read request bodies on bare ASGI, within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive

from producers import metrics
from producers.errors import ProducersError, TooLargeError, UnsupportedError
from producers.gateway.http.in_flight import Lease

PLAIN_ENCODINGS: Final = frozenset({b"", b"identity"})
GZIP_ENCODINGS: Final = frozenset({b"gzip", b"x-gzip"})


class ClientGoneError(ProducersError):
    """The client closed the connection before the body was complete."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits of a body: its size, sent and decompressed, and its gzip members."""

    setting: str
    """Name of the setting with the value ``wire_max_bytes``."""
    wire_max_bytes: int
    decompressed_max_bytes: int
    gzip_members_max: int
    decompressed_setting: str = "decompressed_max_bytes"
    """Name of the setting with the value ``decompressed_max_bytes``."""


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    lease: Lease,
    limits: BodyLimits,
    on_part: Callable[[int], None] | None = None,
) -> bytes:
    """Read a body, with or without ``Content-Length``, without decompressing it.

    ``on_part`` is called with the size of each part.

    Raises:
        TooLargeError: it exceeds ``wire_max_bytes``; no more than that is kept in memory.
        UnsupportedError: the body has a content encoding other than gzip.
        OverloadedError: too many bytes are in flight.
        ClientGoneError: the connection ended before the body was complete.
    """
    encoding = _encoding(headers)
    if encoding not in PLAIN_ENCODINGS | GZIP_ENCODINGS:
        name = encoding.decode(errors="replace")
        raise UnsupportedError(f"content encoding {name!r} is not supported; use gzip or none")
    if declared_bytes(headers) > limits.wire_max_bytes:
        raise too_large("body", limits.setting, limits.wire_max_bytes)
    parts = []
    size = 0
    more = True
    while more:
        received = await receive()
        if received["type"] == "http.disconnect":
            raise ClientGoneError
        part = received.get("body", b"")
        more = received.get("more_body", False)
        size += len(part)
        if size > limits.wire_max_bytes:
            raise too_large("body", limits.setting, limits.wire_max_bytes)
        lease.take(len(part))
        if on_part is not None:
            on_part(len(part))
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def declared_bytes(headers: Mapping[bytes, bytes]) -> int:
    """Return the length of the body that the headers declare; 0 if they declare none."""
    declared = headers.get(b"content-length", b"")
    return int(declared[:20]) if declared.isdigit() else 0


def is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the headers declare a gzip body."""
    return _encoding(headers) in GZIP_ENCODINGS


def _encoding(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-encoding", b"").strip().lower()


def too_large(what: str, limit: str, max_bytes: int) -> TooLargeError:
    """Count a reached limit, and return the exception to raise."""
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    return TooLargeError(f"the {what} is larger than {max_bytes} bytes")
