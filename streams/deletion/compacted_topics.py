"""Remove the records of a project from compacted topics, whose retention does not delete them."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from clickhouse.feed import Feed
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from producers.kafka.topics import CONTROL, Cleanup
from producers.settings import KafkaSettings
from streams.deletion import metrics

STOP_TIMEOUT_S = 2.0
POLL_MS = 500


async def remove_records(kafka: KafkaSettings, project_id: str, feeds: Iterable[Feed]) -> int:
    """Write tombstones for the records of a project on the compacted topics of feeds.

    ``ControlLog.delete`` removes the records of the control plane.

    Returns:
        The number of removed records.

    Raises:
        KafkaError, BrokerUnavailableError: the broker did not respond.
    """
    compacted = [
        feed for feed in feeds if feed.topic.cleanup is Cleanup.REPLACED and feed.topic != CONTROL
    ]
    removed = 0
    consumer = await started(lambda: new_consumer(kafka, auto_offset_reset="earliest"), kafka)
    try:
        producer = await started(lambda: new_producer(kafka, batch_bytes=64 * 1024), kafka)
        try:
            for feed in compacted:
                removed += await _remove(
                    consumer, producer, feed.topic_in(kafka.topics), feed, project_id
                )
        finally:
            await stopped(producer, STOP_TIMEOUT_S)
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
    return removed


async def _remove(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, topic: str, feed: Feed, project_id: str
) -> int:
    partitions = [TopicPartition(topic, number) for number in await producer.partitions_for(topic)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    owner = project_id.encode()
    owned: set[tuple[int, bytes]] = set()
    while any([await consumer.position(each) < ends[each] for each in partitions]):
        for partition, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            for record in records:
                if record.key is None:
                    continue
                lines = (record.value or b"").split(b"\n")
                if all(feed.project_of(line) == owner for line in lines):
                    owned.add((partition.partition, record.key))
                else:  # a newer record of the key
                    owned.discard((partition.partition, record.key))
    for number, key in owned:
        await producer.send_and_wait(topic, None, key=key, partition=number)
    metrics.DELETED_LOG_RECORDS.labels(topic).inc(len(owned))
    return len(owned)
