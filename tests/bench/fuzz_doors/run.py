"""Send many bodies to one endpoint in process, without a broker."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from random import Random
from typing import Any
from unittest import mock

from clickhouse.errors import StoreUnavailable
from producers.control.keys import new_api_key
from producers.control.resolver import Address
from producers.gateway.app import Gateway
from producers.gateway.event_batch import EventBatch
from producers.gateway.publisher import EventPublisher
from producers.settings import GatewaySettings, KafkaSettings
from tests.bench.fuzz_doors.doors import DOORS, GATEWAY_DOORS, GRPC_DOOR, Mutation
from tests.bench.fuzz_doors.grpc_door import grpc_door
from tests.bench.fuzz_doors.mutations import mutated_gzip
from tests.query_api.harness import ControlInMemory, make_api
from tracemill.contract import decode_event

PROJECT = "fuzz"
GZIP_SHARE = 0.15
LIMITED = frozenset({413})
"""A request above a limit as a whole may lose its good items."""


class AcknowledgingPublisher(EventPublisher):
    """A publisher that acknowledges everything itself, after reading it back by the contract."""

    def __init__(self, kafka: KafkaSettings, gateway: GatewaySettings) -> None:
        super().__init__(kafka, gateway)
        self.ids: set[str] = set()
        self.reads_back = True

    async def publish(self, batch: EventBatch) -> None:
        if not self.reads_back:
            return
        for queue, lines in batch.lines_by_queue.items():
            if queue.topic == self._kafka.topics.events:
                for line in lines:
                    event = decode_event(line)
                    self.ids.add(getattr(event, "id", "") or getattr(event, "trace_id", ""))


class OneAddress:
    """Resolves every name to the same public address: no question leaves this machine."""

    async def addresses(self, host: str) -> list[Address]:
        if not host:
            raise OSError("no name")
        return [ip_address("93.184.215.14")]


class NoStore:
    """A store that is never reached."""

    database = "none"

    def __getattr__(self, _: str) -> Any:
        async def unavailable(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("there is none")

        return unavailable


@dataclass
class Report:
    """What became of the bodies of one door."""

    door: str
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[int, bytes, str]] = field(default_factory=list)
    """Number, body and fault of each body that was answered as none may be."""


async def fuzz(door: str, bodies: int, seed: int) -> Report:
    """Send ``bodies`` mutated bodies to a door."""
    report = Report(door)
    publisher = AcknowledgingPublisher(KafkaSettings(), GatewaySettings())
    async with _asking(door, publisher) as ask:
        for number in range(bodies):
            # Each body has a seed of its own, so that a finding can be made again alone.
            chance = Random(hashlib.sha256(f"{door}/{seed}/{number}".encode()).digest())
            mutation = DOORS[door](chance)
            body, headers = mutation.body, [(b"content-type", mutation.content_type.encode())]
            expects = mutation.expects
            if door in GATEWAY_DOORS and chance.random() < GZIP_SHARE:
                body = mutated_gzip(body, chance)
                headers.append((b"content-encoding", b"gzip"))
                expects = ""
            publisher.ids.clear()
            status, fault = await ask(mutation, body, headers)
            report.statuses[status] += 1
            if not fault and expects and status not in LIMITED and expects not in publisher.ids:
                fault = f"answered {status}, but the good item beside it was not accepted"
            if fault:
                report.failures.append((number, body or mutation.query, fault))
    return report


Ask = Callable[[Mutation, bytes, list[tuple[bytes, bytes]]], Awaitable[tuple[int, str]]]
"""Sends a body; returns the status, and what is wrong with it; empty if nothing is."""


@asynccontextmanager
async def _asking(door: str, publisher: AcknowledgingPublisher) -> AsyncIterator[Ask]:
    with _application(door, publisher) as app:
        if door != GRPC_DOOR:
            yield partial(_ask, app)
            return
        async with grpc_door(app, PROJECT) as opened:
            yield opened.ask


async def _ask(
    app: Any, mutation: Mutation, body: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[int, str]:
    """The status, and what is wrong with it; empty if nothing is."""
    authorization = b"Basic " + base64.b64encode(f"pk-{PROJECT}:sk-{PROJECT}".encode())
    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": mutation.method,
        "path": mutation.path,
        "raw_path": mutation.path.encode(),
        "query_string": mutation.query,
        "root_path": "",
        "server": ("gateway", 80),
        "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"gateway"),
            (b"authorization", authorization),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ],
    }
    messages = iter([{"type": "http.request", "body": body}])
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001  that is what is looked for
        return 500, f"{type(error).__name__}: {error}"
    status = statuses[0] if statuses else 0
    if status == 503 and mutation.method == "GET":
        return status, ""  # it came as far as the store that is not there
    return status, f"answered {status}" if not 200 <= status < 500 else ""


@contextmanager
def _application(door: str, publisher: AcknowledgingPublisher) -> Iterator[Any]:
    if door in GATEWAY_DOORS:
        control = ControlInMemory()
        key = new_api_key(
            key_id="fuzz",
            project_id=PROJECT,
            public_key=f"pk-{PROJECT}",
            secret=f"sk-{PROJECT}",
            created_us=0,
        )
        control.keep(key)
        yield Gateway(KafkaSettings(), GatewaySettings(), control, publisher)  # type: ignore[arg-type]
        return
    with (
        mock.patch("tests.query_api.harness.PROJECT", PROJECT),
        mock.patch("query_api.v1.webhooks.Resolver", OneAddress),
    ):
        api, _ = make_api(NoStore())  # type: ignore[arg-type]
    app = api.client._transport.app  # type: ignore[attr-defined]
    create = api.control.create

    async def create_and_forget(record: Any) -> Any:
        await create(record)
        await api.control.delete(record.kind, record.id)
        return record

    api.control.create = create_and_forget  # type: ignore[method-assign]
    yield app
