"""Create topics, and check that existing ones match the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from producers.errors import BrokerUnavailableError, TopicError, TopicMismatchError
from producers.kafka.clients import new_admin, started
from producers.kafka.topic_configs import BROKER_TIME, TIMESTAMP_TYPE, align_configs
from producers.kafka.topics import Cleanup, Partitions, Topic
from producers.settings import KafkaSettings

COMPACTED_RETENTION_MS: Final = 24 * 3600 * 1000
COMPACTED_SEGMENT_MS: Final = 3600 * 1000
CREATE_RETRY_S: Final = 0.2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TopicShape:
    """The name, the partitions and the configuration of a topic."""

    name: str
    partitions: int
    config: dict[str, str]


def shape_of(topic: Topic, kafka: KafkaSettings) -> TopicShape:
    """Return the shape of ``topic`` that the settings define."""
    # The broker stores batches as the producer compressed them. It sets the timestamps, so that
    # all have the same clock, and no record is rejected because of a producer's wrong clock.
    config = {
        "max.message.bytes": str(kafka.record_max_bytes),
        "cleanup.policy": "compact" if topic.cleanup is Cleanup.COMPACT else "delete",
        "compression.type": "producer",
        TIMESTAMP_TYPE: BROKER_TIME,
    }
    if topic.cleanup is Cleanup.DELETE:
        config["retention.ms"] = str(kafka.topic_retention_h * 3600 * 1000)
    elif topic.cleanup is Cleanup.RETAIN:
        retention_ms = kafka.trace_deletions_retention_h * 3600 * 1000
        config |= {"retention.ms": str(retention_ms), "retention.bytes": "-1"}
    elif topic.cleanup is Cleanup.KEEP:
        config |= {"retention.ms": "-1", "retention.bytes": "-1"}
    else:
        # Tombstones are kept long enough for every running process to read them.
        config["delete.retention.ms"] = str(COMPACTED_RETENTION_MS)
        config["segment.ms"] = str(COMPACTED_SEGMENT_MS)
        config["min.cleanable.dirty.ratio"] = "0.1"
    partitions = {
        Partitions.BY_TRACE: kafka.event_partitions,
        Partitions.BY_PROJECT: kafka.project_partitions,
        Partitions.ONE: 1,
    }
    return TopicShape(kafka.topics.of(topic), partitions[topic.partitions], config)


async def create_topics(kafka: KafkaSettings, topics: Iterable[Topic]) -> list[str]:
    """Create missing topics, and let the broker set the timestamps of existing ones.

    Several processes can call this at the same time. Return the names of created topics.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``, or a request failed.
        TopicError: the broker refused to create a topic.
        TopicMismatchError: a topic has another number of partitions than the settings. Its use
            would change the partition of traces and break the order of their events.
    """
    shapes = {shape.name: shape for topic in topics for shape in (shape_of(topic, kafka),)}
    admin = await started(lambda: new_admin(kafka), kafka)
    try:
        async with asyncio.timeout(kafka.broker_wait_s):
            created = await _ensure(admin, shapes, kafka)
            existing = {name: shape.config for name, shape in shapes.items() if name not in created}
            adjusted: set[str] = set()
            while changed := await align_configs(admin, existing):  # until the broker confirms it
                adjusted.update(changed)
                await asyncio.sleep(CREATE_RETRY_S)
            if adjusted:
                log.info("topics adjusted", topics=sorted(adjusted))
            await _wait_for_group_coordinator(admin, kafka)
            return created
    except (KafkaError, TimeoutError) as error:
        message = (
            f"the topics of the broker at {kafka.broker} could not be created or read: {error!r}"
        )
        raise BrokerUnavailableError(message) from error
    finally:
        await admin.close()


async def _wait_for_group_coordinator(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> None:
    """Wait until the broker has a group coordinator, which consumers need to start.

    A new broker creates its offsets topic on the first request for a coordinator.
    """
    while True:
        try:
            await admin.find_coordinator(kafka.topics.sink_group)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(CREATE_RETRY_S)
        else:
            return


async def _ensure(
    admin: AIOKafkaAdminClient, shapes: dict[str, TopicShape], kafka: KafkaSettings
) -> list[str]:
    created: list[str] = []
    while True:
        existing = await _partitions_of(admin, list(shapes))
        for name, partitions in existing.items():
            if partitions != shapes[name].partitions:
                message = (
                    f"topic {name} has {partitions} partitions, but the settings define "
                    f"{shapes[name].partitions}: set TRACEMILL_EVENT_PARTITIONS and "
                    "TRACEMILL_PROJECT_PARTITIONS to the existing numbers, or use another "
                    "TRACEMILL_TOPIC_PREFIX"
                )
                raise TopicMismatchError(message)
        missing = [shape for name, shape in shapes.items() if name not in existing]
        if not missing:
            return created
        created += await _create(admin, missing, kafka)
        await asyncio.sleep(CREATE_RETRY_S)


async def _create(
    admin: AIOKafkaAdminClient, missing: list[TopicShape], kafka: KafkaSettings
) -> list[str]:
    response = await admin.create_topics(
        [
            NewTopic(
                name=shape.name,
                num_partitions=shape.partitions,
                replication_factor=kafka.replication_factor,
                topic_configs=shape.config,
            )
            for shape in missing
        ]
    )
    created = []
    for name, code, *detail in response.topic_errors:
        error = for_code(code)
        if code == 0:
            log.info("topic created", topic=name)
            created.append(name)
        elif error is not TopicAlreadyExistsError and not error.retriable:
            message = (
                f"the broker refused topic {name}: {error.__name__} {' '.join(map(str, detail))}"
            )
            raise TopicError(message)
    return created


async def _partitions_of(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    all_names = set(await admin.list_topics())
    present = [name for name in names if name in all_names]
    if not present:
        return {}
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics(present)
        if topic["partitions"]
    }
