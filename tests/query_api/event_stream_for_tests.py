"""Topics in memory whose records are published to a hub of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import AlertRow, TraceRow, WindowRow
from query_api.event_stream.events import alert_event, trace_event, window_event
from query_api.event_stream.hub import EventHub
from query_api.event_stream.kafka_tail import events_in
from query_api.event_stream.subscription import Subscription
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT

NOON_S = NOON_US // 1_000_000
ENDS = {"w0": 100, "t0": 7, "t1": 9, "a0": 3}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class TailInMemory:
    """Begins at the ends of topics that the test fills."""

    async def run(self, hub: EventHub) -> None:
        hub.begin(ENDS)
        await asyncio.Event().wait()


class Topics:
    """Publishes records to a hub as the tail does."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._ends = dict(ENDS)

    def add(self, source: str, *rows: msgspec.Struct) -> None:
        converted = {"w": window_event, "t": trace_event, "a": alert_event}[source[0]]
        value = b"\n".join(map(msgspec.json.encode, rows))
        offset = self._ends[source]
        record = ConsumerRecord(
            source, 0, offset, NOON_US // 1_000, 0, None, value, 0, 0, len(value), ()
        )
        self._ends[source] += 1
        self._hub.publish(source, offset, events_in(record, converted, self._hub.wants))


def window(model: str = "m-1", **fields: Any) -> WindowRow:
    given = {
        "project_id": PROJECT, "environment": "production", "model": model, "name": "call",
        "type": "GENERATION", "row_version": 1, "latency_state_hex": "", **fields,
    }  # fmt: skip
    return WindowRow(window_s=NOON_S, **given)


def trace(trace_id: str, **fields: Any) -> TraceRow:
    return TraceRow(
        project_id=fields.pop("project_id", PROJECT), id=trace_id, start_us=NOON_US, row_version=1,
        **fields,
    )  # fmt: skip


def alert(**fields: Any) -> AlertRow:
    given = {
        "event": "of.a_later_version",
        "rule_kind": "alert_rule",
        "rule_id": "r",
        "state": "firing",
        "severity": "warning",
        "payload": "{}",
    }
    return AlertRow(
        project_id=PROJECT, id="alert-1", name="Slow", created_us=NOON_US, row_version=1,
        **given, **fields,
    )  # fmt: skip


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[tuple[EventHub, Topics, Clock]]:
    clock = Clock()
    hub = EventHub(QuerySettings(**settings), TailInMemory(), clock)
    try:
        yield hub, Topics(hub), clock
    finally:
        await hub.close()


async def subscribed(hub: EventHub, project: str = PROJECT, last_id: str = "") -> Subscription:
    return await hub.subscribe(project, ("window", "trace", "alert"), {}, last_id)


async def received(subscription: Subscription) -> list[tuple[str, str, Any]]:
    """Kind, id and data of the events that are there."""
    return parsed((await subscription.next(0.01)).decode())


def parsed(text: str) -> list[tuple[str, str, Any]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found
