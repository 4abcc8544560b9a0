"""The gateway's HTTP on bare ASGI: a body read within limits, and an answer sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from starlette.types import Receive, Scope, Send

from producers import metrics
from producers.errors import (
    OverloadedError,
    ProducersError,
    TooLargeError,
    UnsupportedError,
)
from producers.gateway.http.shares import ByteShares

PLAIN_ENCODINGS: Final = frozenset({b"", b"identity"})
GZIP_ENCODINGS: Final = frozenset({b"gzip", b"x-gzip"})

JSON_TYPE: Final = b"application/json"

_encode = msgspec.json.Encoder().encode


class ClientGoneError(ProducersError):
    """The client hung up before its body was complete: there is nobody to answer."""


class InFlight:
    """Bytes of bodies that are being answered, all requests together."""

    def __init__(self, max_bytes: int) -> None:
        self._shares = ByteShares(max_bytes)

    def lease(self, project_id: str) -> Lease:
        return Lease(self, project_id)

    def add(self, project_id: str, size: int) -> None:
        """Reserve ``size`` bytes.

        Raises:
            OverloadedError: all projects hold too much, or this one more than its share.
        """
        if not self._shares.has_room(project_id, size):
            metrics.LIMIT_REACHED.labels(limit="in_flight_max_bytes").inc()
            limit = "in_flight_max_bytes"
            raise OverloadedError(limit)
        self._shares.add(project_id, size)
        metrics.IN_FLIGHT_BYTES.set(self._shares.total)

    def give_back(self, project_id: str, size: int) -> None:
        self._shares.add(project_id, -size)
        metrics.IN_FLIGHT_BYTES.set(self._shares.total)


class Lease:
    """What one request holds; all of it is given back at the end of the block."""

    def __init__(self, in_flight: InFlight, project_id: str) -> None:
        self._in_flight = in_flight
        self._project_id = project_id
        self._bytes = 0

    def take(self, size: int) -> None:
        self._in_flight.add(self._project_id, size)
        self._bytes += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_flight.give_back(self._project_id, self._bytes)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may be."""

    setting: str
    """Name of the setting that ``wire_max_bytes`` comes from."""
    wire_max_bytes: int
    decompressed_max_bytes: int
    gzip_members_max: int
    decompressed_setting: str = "decompressed_max_bytes"
    """Name of the setting that ``decompressed_max_bytes`` comes from."""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Header by lower-case name; of a repeated one the last."""
    return dict(scope["headers"])


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    lease: Lease,
    limits: BodyLimits,
    on_part: Callable[[int], None] | None = None,
) -> bytes:
    """Read the body as it is on the wire, with or without ``Content-Length``.

    ``on_part`` is called with the size of each part.

    Raises:
        TooLargeError: it exceeds a limit; no more than the limit is ever held.
        UnsupportedError: a content encoding other than gzip.
        OverloadedError: too many bytes are in flight.
        ClientGoneError: the connection ended within the body.
    """
    encoding = _encoding(headers)
    if encoding not in PLAIN_ENCODINGS | GZIP_ENCODINGS:
        message = f"content encoding {encoding.decode(errors='replace')!r} is not supported; send gzip or none"
        raise UnsupportedError(message)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > limits.wire_max_bytes:
        raise too_large("body", limits.setting, limits.wire_max_bytes)
    parts = []
    size = 0
    more = True
    while more:
        message_of_server = await receive()
        if message_of_server["type"] == "http.disconnect":
            raise ClientGoneError
        part = message_of_server.get("body", b"")
        more = message_of_server.get("more_body", False)
        size += len(part)
        if size > limits.wire_max_bytes:
            raise too_large("body", limits.setting, limits.wire_max_bytes)
        lease.take(len(part))
        if on_part is not None:
            on_part(len(part))
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    return _encoding(headers) in GZIP_ENCODINGS


def _encoding(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-encoding", b"").strip().lower()


async def answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = JSON_TYPE,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer_json(
    send: Send, status: int, body: Any, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    await answer(send, status, _encode(body), headers=headers)


def too_large(what: str, limit: str, max_bytes: int) -> TooLargeError:
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    message = f"the {what} is larger than {max_bytes} bytes"
    return TooLargeError(message)
