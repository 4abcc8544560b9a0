"""Topics of the tests' own, and what arrived on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tracemill import Tracer
from tracemill.contract import Event, decode_event

PARTITIONS = 3
ARRIVED_WITHIN_S = 20.0


def create_topic(broker: str, name: str) -> None:
    async def create() -> None:
        admin = AIOKafkaAdminClient(**client_options(KafkaSettings(broker=broker)))
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        finally:
            await admin.close()

    asyncio.run(create())


@pytest.fixture
def events_topic(kafka_broker: str, topic_prefix: str) -> str:
    """A topic of three partitions."""
    name = f"{topic_prefix}.events"
    create_topic(kafka_broker, name)
    return name


@pytest.fixture
def tracer(kafka_broker: str, events_topic: str) -> Iterator[Tracer]:
    tracer = Tracer("project-1", kafka_broker, topic=events_topic, environment="test")
    yield tracer
    tracer.close(5)


Records = list[tuple[int, list[Event]]]


def read(broker: str, topic: str) -> Records:
    """All records of a topic: partition and decoded lines."""
    return asyncio.run(_read(broker, topic))


async def _read(broker: str, topic: str) -> Records:
    consumer = AIOKafkaConsumer(
        **client_options(KafkaSettings(broker=broker)), enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: Records = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for tp, messages in (await consumer.getmany(timeout_ms=500)).items():
                for message in messages:
                    lines = message.value.split(b"\n")
                    records.append((tp.partition, [decode_event(line) for line in lines]))
        return records
    finally:
        await consumer.stop()


@pytest.fixture
def records(kafka_broker: str, events_topic: str) -> Callable[[], Records]:
    """All records of the topic: partition and decoded lines."""
    return lambda: read(kafka_broker, events_topic)


@pytest.fixture
def arrived(records: Callable[[], Records]) -> Callable[[], list[Event]]:
    """All events of the topic, in the order of their partitions."""
    return lambda: [event for _, events in records() for event in events]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ARRIVED_WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
