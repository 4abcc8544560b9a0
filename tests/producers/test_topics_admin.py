"""The topics on a real broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from producers.errors import TopicError
from producers.kafka import client_options
from producers.settings import KafkaSettings
from producers.topics_admin import ensure_topics, topic_shapes


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
        for name in (kafka.topics.events, kafka.topics.control):
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


async def test_another_partition_count_is_a_clear_error(kafka: KafkaSettings) -> None:
    await ensure_topics(kafka)

    with pytest.raises(TopicError, match="has 3 partitions, the settings say 5"):
        await ensure_topics(kafka.model_copy(update={"event_partitions": 5}))
