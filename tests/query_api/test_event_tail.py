"""Events are read from the topics of a broker, from their ends, while somebody reads them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from clickhouse.all_topics import ensure_topics
from clickhouse.feeds.traces import FEED as TRACES
from clickhouse.rows import TraceRow
from producers.kafka.clients import new_producer
from producers.settings import KafkaSettings
from query_api.event_stream.hub import EventHub
from query_api.event_stream.kafka_tail import KafkaTail, streaming_events
from query_api.event_stream.subscription import Subscription
from query_api.settings import QuerySettings

DEADLINE_S = 60.0


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    return settings


async def text_with(reader: Subscription, wanted: str) -> str:
    text = ""
    async with asyncio.timeout(DEADLINE_S):
        while wanted not in text:
            text += (await reader.next(0.1)).decode()
    return text


async def test_traces_are_read_from_all_partitions_from_now_on(kafka: KafkaSettings) -> None:
    topic = TRACES.topic_in(kafka.topics)

    async def send(trace_id: str, partition: int) -> None:
        row = TraceRow(project_id="p", id=trace_id, start_us=1, row_version=1)
        await producer.send_and_wait(topic, msgspec.json.encode(row), partition=partition)

    async with new_producer(kafka, batch_bytes=100_000) as producer:
        await send("before", 0)
        hub = EventHub(QuerySettings(), KafkaTail(kafka), time.monotonic)
        try:
            reader = await hub.subscribe("p", ("trace",), {})
            for partition in range(kafka.event_partitions):
                await send(f"t-{partition}", partition)
            text = ""
            for partition in range(kafka.event_partitions):
                if f"t-{partition}" not in text:
                    text += await text_with(reader, f"t-{partition}")
            assert "before" not in text
            last_id = text.rsplit("id: ", 1)[1].split("\n")[0]
            hub.unsubscribe("p", reader)
            await send("while away", 0)
            again = await hub.subscribe("p", ("trace",), {}, last_id)
            text = await text_with(again, "while away")
            assert text.count("event: trace") == 1
        finally:
            await hub.close()


async def test_streams_end_when_the_process_stops(kafka: KafkaSettings) -> None:
    stop = asyncio.Event()
    async with streaming_events(kafka, QuerySettings(), stop) as hub:
        reader = await hub.subscribe("p", ("trace",), {})
        stop.set()
        async with asyncio.timeout(DEADLINE_S):
            while not reader.end:
                found: Any = await reader.next(1)
                assert not found
        assert reader.end == "stopping"
