"""The topics on a real broker."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.consumer.fetcher import Fetcher

from clickhouse.all_topics import ensure_topics, topic_shapes
from producers.errors import TopicError
from producers.kafka.clients import client_options, new_admin, new_consumer, new_producer
from producers.settings import KafkaSettings


@pytest.fixture
def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix, event_partitions=3)


async def test_all_topics_are_created_once_even_by_several_processes(kafka: KafkaSettings) -> None:
    created = await asyncio.gather(*(ensure_topics(kafka) for _ in range(3)))

    assert sorted(name for names in created for name in names) == sorted(
        shape.name for shape in topic_shapes(kafka)
    )
    assert await ensure_topics(kafka) == []


async def test_topics_have_the_shape_of_the_settings(kafka: KafkaSettings) -> None:
    await ensure_topics(kafka)
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        topics = {
            topic["topic"]: len(topic["partitions"])
            for topic in await admin.describe_topics([shape.name for shape in topic_shapes(kafka)])
        }
        configs = {}
        for name in (kafka.topics.events, kafka.topics.control, kafka.topics.trace_deletions):
            (response,) = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name)]
            )
            configs[name] = {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()

    assert topics[kafka.topics.events] == topics[kafka.topics.observations] == 3
    assert topics[kafka.topics.deltas] == 2
    assert topics[kafka.topics.control] == topics[kafka.topics.alerts] == 1
    assert configs[kafka.topics.events]["message.timestamp.type"] == "LogAppendTime"
    assert configs[kafka.topics.events]["cleanup.policy"] == "delete"
    assert configs[kafka.topics.control]["cleanup.policy"] == "compact"
    assert configs[kafka.topics.control]["message.timestamp.type"] == "LogAppendTime"
    assert configs[kafka.topics.trace_deletions]["retention.ms"] == str(720 * 3_600_000)


async def test_a_topic_of_an_earlier_version_takes_the_brokers_time_and_keeps_what_was_set_on_it(
    kafka: KafkaSettings,
) -> None:
    set_before = {"retention.ms": "123456789", "cleanup.policy": "compact"}
    admin = new_admin(kafka)
    await admin.start()
    try:
        topic = kafka.topics.deliveries
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=set_before)])
        await ensure_topics(kafka)
        (response,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic)]
        )
        found = {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()
    assert {name: found[name] for name in set_before} == set_before
    assert found["message.timestamp.type"] == "LogAppendTime"


async def test_a_record_of_a_machine_whose_clock_is_days_off_is_taken_with_the_brokers_time(
    kafka: KafkaSettings,
) -> None:
    await ensure_topics(kafka)
    producer = new_producer(kafka, batch_bytes=16_384)
    await producer.start()
    try:
        for shape in topic_shapes(kafka):
            for days in (-4_000, 9, 4_000):
                written = await producer.send_and_wait(
                    shape.name,
                    b"",
                    key=b"k",
                    partition=0,
                    timestamp_ms=round((time.time() + days * 86_400) * 1000),
                )
                assert abs(written.timestamp / 1000 - time.time()) < 600, shape.name
    finally:
        await producer.stop()


async def test_another_partition_count_is_a_clear_error(kafka: KafkaSettings) -> None:
    await ensure_topics(kafka)

    with pytest.raises(TopicError, match="has 3 partitions, but the settings define 5"):
        await ensure_topics(kafka.model_copy(update={"event_partitions": 5}))


async def test_the_ends_of_all_topics_are_found_in_one_attempt(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between attempts, aiokafka pauses for 0.1 s."""
    await ensure_topics(kafka)
    partitions = [TopicPartition(shape.name, 0) for shape in topic_shapes(kafka)]
    async with new_consumer(kafka) as first:
        await first.end_offsets(partitions)  # the broker knows the leaders of the new topics now
    attempts, ask = [], Fetcher._proc_offset_requests

    async def counted(fetcher: Fetcher, partitions: object) -> object:
        attempts.append(partitions)
        return await ask(fetcher, partitions)

    monkeypatch.setattr(Fetcher, "_proc_offset_requests", counted)
    consumer = new_consumer(kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
    finally:
        await consumer.stop()
    assert ends == begins == dict.fromkeys(partitions, 0)
    assert len(attempts) == 2
