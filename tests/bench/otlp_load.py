"""Generate OTLP load at a few µs per span, so that the client does not limit the measurement.

One export is encoded once, with the protobuf classes of OpenTelemetry. For each request, the bytes
of its ids and times are replaced in place.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUEST_MARK = b"\xf1\xe2\xd3\xc4\xb5\xa6\x97\x88"
"""First half of every trace id of the template."""
SPAN_MARK = b"\xf7\xe6\xd5\xc4"
"""First half of every span id of the template."""
START_MARK = (0x5A5B5C5D5E5F5051).to_bytes(8, "little")
END_MARK = (0x4A4B4C4D4E4F4041).to_bytes(8, "little")
USER_MARK = "user-<mark>!"
"""As long as the user ids that replace it."""
SPANS_PER_TRACE = 5
SPAN_DURATION_NS = 800_000_000
INPUT = "How long are invoices kept, and where can I download the ones of last year? " * 2
OUTPUT = "Invoices are kept for ten years; open Billing, then History, and choose the year. " * 3


def span_id(request: int, index: int) -> str:
    """Hex id of the ``index``-th span of request number ``request``."""
    return f"{request & 0xFFFFFFFF:08x}{index + 1:08x}"


def trace_id(request: int, trace: int) -> str:
    """Hex id of the ``trace``-th trace of request number ``request``."""
    return request.to_bytes(8, "big").hex() + f"{trace + 1:016x}"


class Template:
    """An export of traces with five spans: a chain, a retriever, a tool and two generations."""

    def __init__(
        self,
        spans: int,
        *,
        environment: str,
        user: str = "bench-user",
        model: str = "gpt-4o-mini",
    ) -> None:
        self.spans = spans
        self.environment = environment
        self.traces = -(-spans // SPANS_PER_TRACE)
        export = ExportTraceServiceRequest()
        resource = export.resource_spans.add()
        _put(
            resource.resource.attributes,
            {"service.name": "bench"},
        )
        scope = resource.scope_spans.add()
        scope.scope.name = "langfuse-sdk"
        scope.scope.version = "4.18.0"
        for index in range(spans):
            trace, place = divmod(index, SPANS_PER_TRACE)
            span = scope.spans.add(
                trace_id=REQUEST_MARK + (trace + 1).to_bytes(8, "big"),
                span_id=_marked(index),
                parent_span_id=b"" if place == 0 else _marked(trace * SPANS_PER_TRACE),
                name=("answer-question", "search", "lookup", "rewrite", "write-answer")[place],
                start_time_unix_nano=int.from_bytes(START_MARK, "little"),
                end_time_unix_nano=int.from_bytes(END_MARK, "little"),
            )
            kind = ("chain", "retriever", "tool", "generation", "generation")[place]
            attributes: dict[str, object] = {
                "langfuse.observation.type": kind,
                "langfuse.environment": environment,
                "langfuse.release": "2026.11",
                "langfuse.trace.name": "support-chat",
                "user.id": user,
                "session.id": f"session-{trace}",
                "langfuse.observation.input": INPUT,
                "langfuse.observation.output": OUTPUT,
                "langfuse.observation.metadata.region": "eu-west-1",
            }
            if kind == "generation":
                attributes |= {
                    "langfuse.observation.model.name": model,
                    "langfuse.observation.model.parameters": '{"temperature":0.2}',
                    "langfuse.observation.usage_details": '{"input":1200,"output":300}',
                }
            _put(span.attributes, attributes)
        self._body = export.SerializeToString()

    @property
    def size_bytes(self) -> int:
        return len(self._body)

    def body(self, request: int, end_ns: int) -> bytes:
        return (
            self._body.replace(REQUEST_MARK, request.to_bytes(8, "big"))
            .replace(SPAN_MARK, (request & 0xFFFFFFFF).to_bytes(4, "big"))
            .replace(START_MARK, (end_ns - SPAN_DURATION_NS).to_bytes(8, "little"))
            .replace(END_MARK, end_ns.to_bytes(8, "little"))
        )


class UsersTemplate(Template):
    """An export whose traces are of one user after the other, up to a number of users."""

    def __init__(self, spans: int, *, environment: str, users: int) -> None:
        super().__init__(spans, environment=environment, user=USER_MARK)
        self._users = itertools.cycle(b"user-%07d" % number for number in range(users))

    def body(self, request: int, end_ns: int) -> bytes:
        parts = super().body(request, end_ns).split(USER_MARK.encode())
        marks = len(parts) - 1
        of_trace = list(itertools.islice(self._users, self.traces))
        joined = [parts[0]]
        for at in range(marks):
            joined += (of_trace[at * self.traces // marks], parts[at + 1])
        return b"".join(joined)


def _marked(index: int) -> bytes:
    return SPAN_MARK + (index + 1).to_bytes(4, "big")


def _put(attributes: object, values: dict[str, object]) -> None:
    for key, value in values.items():
        attributes.add(key=key).value.string_value = str(value)  # type: ignore[attr-defined]


Post = Callable[[bytes], Awaitable[int]]
"""Posts a body; the status of the answer."""


@dataclass(slots=True)
class Answers:
    """What the server answered."""

    accepted_spans: int = 0
    busy: int = 0
    refused: int = 0
    latencies_s: list[float] = field(default_factory=list)


class Connection:
    """One keep-alive HTTP/1.1 connection that posts exports."""

    def __init__(self, url: str, public_key: str, secret_key: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        token = base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self._head = (
            f"POST /api/public/otel/v1/traces HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Basic {token}\r\nContent-Type: application/x-protobuf\r\n"
            "Content-Length: "
        ).encode()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Post]:
        reader, writer = await asyncio.open_connection(self._host, self._port)

        async def post(body: bytes) -> int:
            writer.write(b"%b%d\r\n\r\n" % (self._head, len(body)) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            if at >= 0:
                length = int(lowered[at + 15 : lowered.index(b"\r\n", at)])
                await reader.readexactly(length)
            return status

        try:
            yield post
        finally:
            writer.close()


async def post_until_accepted(post: Post, body: bytes, spans: int, answers: Answers) -> float:
    """Post ``body``, repeatedly while the server is busy; return the time of the response."""
    while True:
        begun_s = time.perf_counter()
        status = await post(body)
        acknowledged_s = time.perf_counter()
        if status == 200:
            answers.accepted_spans += spans
            answers.latencies_s.append(acknowledged_s - begun_s)
            return acknowledged_s
        if status not in {429, 503}:
            answers.refused += 1
            raise AssertionError(f"the gateway answered {status}")
        answers.busy += 1
        await asyncio.sleep(0.2)
