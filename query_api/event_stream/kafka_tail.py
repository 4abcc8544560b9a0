"""Read the topics of windows, traces and alerts from their ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from clickhouse.feed import Feed, project_of_row
from clickhouse.feeds.alerts import FEED as ALERTS
from clickhouse.feeds.traces import FEED as TRACES
from clickhouse.feeds.windows import FEED as WINDOWS
from producers.errors import ProducersError
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import new_log_consumer
from producers.kafka.topics import Partitions
from producers.settings import KafkaSettings
from query_api.event_stream.events import Event, alert_event, trace_event, window_event
from query_api.event_stream.hub import EventHub
from query_api.settings import QuerySettings

POLL_MS: Final = 200
RECORDS_MAX: Final = 500
"""Maximum number of records that are converted without giving other tasks a turn."""
RECONNECT_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0
_EVENTS: Final[tuple[tuple[str, Feed, Callable[[bytes], Event]], ...]] = (
    ("w", WINDOWS, window_event),
    ("t", TRACES, trace_event),
    ("a", ALERTS, alert_event),
)
"""Prefixes of the names of sources, their topics, and how their rows are converted."""

log = structlog.get_logger(__name__)


class KafkaTail:
    """Reads all partitions of the topics while the hub wants it, across failures of the broker."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._sources: dict[TopicPartition, tuple[str, Callable[[bytes], Event]]] = {}
        for prefix, feed, convert in _EVENTS:
            topic = feed.topic_in(kafka.topics)
            for number in range(_partitions(feed, kafka)):
                source = f"{prefix}{number}"
                self._sources[TopicPartition(topic, number)] = (source, convert)

    async def run(self, hub: EventHub) -> None:
        """Read from the ends; after a failure, continue where reading stopped."""
        while hub.is_wanted:
            consumer: AIOKafkaConsumer | None = None
            try:
                consumer = await started(lambda: new_log_consumer(self._kafka), self._kafka)
                await self._follow(consumer, hub)
            except (KafkaError, ProducersError, OSError) as error:
                log.warning("event_stream_disconnected", reason=repr(error))
                await asyncio.sleep(RECONNECT_S)
            finally:
                if consumer is not None:
                    with contextlib.suppress(KafkaError):
                        await stopped(consumer, STOP_TIMEOUT_S)

    async def _follow(self, consumer: AIOKafkaConsumer, hub: EventHub) -> None:
        consumer.assign(list(self._sources))
        if not hub.positions:
            await self._begin(consumer, hub)
        for partition, (source, _) in self._sources.items():
            consumer.seek(partition, hub.positions[source])
        while hub.is_wanted:
            try:
                polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
            except OffsetOutOfRangeError:
                await self._begin(consumer, hub)
                for partition, (source, _) in self._sources.items():
                    consumer.seek(partition, hub.positions[source])
                continue
            for partition, records in polled.items():
                source, convert = self._sources[partition]
                for record in records:
                    hub.publish(source, record.offset, events_in(record, convert, hub.wants))
            await asyncio.sleep(0)

    async def _begin(self, consumer: AIOKafkaConsumer, hub: EventHub) -> None:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(list(self._sources))
        hub.begin({source: ends[each] for each, (source, _) in self._sources.items()})


def events_in(
    record: ConsumerRecord, convert: Callable[[bytes], Event], wants: Callable[[str], bool]
) -> list[Event]:
    """Return the events of a record's rows of projects that are wanted; invalid rows are left out.

    The sink turns invalid rows into dead letters.
    """
    events = []
    for line in (record.value or b"").splitlines():
        project_id = project_of_row(line).decode("utf-8", "replace")
        if not project_id or not wants(project_id):
            continue
        try:
            events.append(convert(line))
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
            log.warning("event_not_streamed", topic=record.topic, reason=repr(error))
    return events


def _partitions(feed: Feed, kafka: KafkaSettings) -> int:
    if feed.topic.partitions is Partitions.ONE:
        return 1
    return int(getattr(kafka, feed.topic.partitions.value))


@asynccontextmanager
async def streaming_events(
    kafka: KafkaSettings, settings: QuerySettings, stop: asyncio.Event
) -> AsyncIterator[EventHub]:
    """Yield a hub whose streams end when ``stop`` is set, because servers wait for them."""
    hub = EventHub(settings, KafkaTail(kafka), time.monotonic)

    async def close_at_stop() -> None:
        await stop.wait()
        await hub.close()

    task = asyncio.create_task(close_at_stop(), name="end of event streams")
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await hub.close()
