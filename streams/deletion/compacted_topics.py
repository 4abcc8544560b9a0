"""Remove the records of a project from compacted topics, whose retention does not delete them."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from clickhouse.feed import Feed
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_cursor import WhenTruncated, new_scan_consumer, records_between
from producers.kafka.topics import CONTROL, Cleanup
from producers.settings import KafkaSettings
from streams.deletion import metrics

STOP_TIMEOUT_S = 2.0


async def remove_records(kafka: KafkaSettings, project_id: str, feeds: Iterable[Feed]) -> int:
    """Write tombstones for the records of a project on the compacted topics of feeds.

    ``ControlLog.delete`` removes the records of the control plane.

    Returns:
        The number of removed records.

    Raises:
        KafkaError, BrokerUnavailableError: the broker did not respond.
    """
    compacted = [
        feed for feed in feeds if feed.topic.cleanup is Cleanup.COMPACT and feed.topic != CONTROL
    ]
    removed = 0
    consumer = await started(lambda: new_scan_consumer(kafka), kafka)
    try:
        producer = await started(lambda: new_producer(kafka, batch_bytes=64 * 1024), kafka)
        try:
            for feed in compacted:
                topic = feed.topic_in(kafka.topics)
                for number in await producer.partitions_for(topic):
                    partition = TopicPartition(topic, number)
                    keys = await _keys_of(consumer, partition, feed, project_id, kafka)
                    for key in keys:
                        await producer.send_and_wait(topic, None, key=key, partition=number)
                    metrics.DELETED_LOG_RECORDS.labels(topic).inc(len(keys))
                    removed += len(keys)
        finally:
            await stopped(producer, STOP_TIMEOUT_S)
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
    return removed


async def _keys_of(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    feed: Feed,
    project_id: str,
    kafka: KafkaSettings,
) -> set[bytes]:
    """Return the keys whose newest records are the project's."""
    begin = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    owner = project_id.encode()
    owned: set[bytes] = set()
    async for record in records_between(
        consumer,
        partition,
        begin,
        end,
        stall_timeout_s=kafka.log_stall_timeout_s,
        when_truncated=WhenTruncated.CONTINUE,
    ):
        if record.key is None:
            continue
        lines = (record.value or b"").split(b"\n")
        if all(feed.project_of(line) == owner for line in lines):
            owned.add(record.key)
        else:  # a newer record of the key
            owned.discard(record.key)
    return owned
