"""The embedded broker: starts, keeps its data through kill -9, refuses what it must not run."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.embedded.kafka import broker_answers
from tests.fixtures.engines import new_broker, running


async def create_topic(broker: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(broker: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read_all(broker: str, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while len(values) < end:
            values.append((await consumer.getone()).value)
        return values
    finally:
        await consumer.stop()


async def test_what_was_acknowledged_can_be_read(kafka_broker: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.events"
    await create_topic(kafka_broker, topic)
    await produce(kafka_broker, topic, b"one", b"two")
    assert await read_all(kafka_broker, topic) == [b"one", b"two"]


async def test_a_topic_is_not_created_by_writing_to_it(
    kafka_broker: str, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    producer = AIOKafkaProducer(bootstrap_servers=kafka_broker, request_timeout_ms=500)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{topic_prefix}.misspelt", b"lost")
    finally:
        await producer.stop()


async def test_nobody_answers_where_no_broker_is() -> None:
    assert await broker_answers("127.0.0.1:1") is False


def test_a_killed_broker_comes_back_with_everything_acknowledged(tmp_path: Path) -> None:
    broker = new_broker(tmp_path / "kafka")
    with running(broker) as process:
        asyncio.run(create_topic(broker.address, "events"))
        asyncio.run(produce(broker.address, "events", b"kept"))
        process.kill()
        process.wait()
    broker.prepare()
    with running(broker):
        assert asyncio.run(read_all(broker.address, "events")) == [b"kept"]
