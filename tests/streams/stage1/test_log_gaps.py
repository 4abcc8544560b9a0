"""Offsets without records, such as those of transactions, are skipped; missing ones are errors."""

from __future__ import annotations

from random import Random

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from clickhouse.all_topics import ensure_topics
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from streams.core.pricing.valuation import NoTokens
from streams.errors import RecordGapError
from streams.observations.partition import PartitionStage
from streams.observations.settings import StreamsSettings
from streams.runtime.log_gaps import next_record
from streams.runtime.partition_worker import SourceMessage
from tests.simulation.stage1_world import PARTITION, TOPICS, FlatPrices, World


def stage_of(next_offset: int) -> PartitionStage:
    class Log(World):
        async def next_record(self, partition: int, offset: int) -> int:
            return next_offset

    world = Log(Random(1))
    return PartitionStage(
        PARTITION, TOPICS, 2, StreamsSettings(), world, world, FlatPrices(), NoTokens()
    )


def empty(offset: int) -> SourceMessage:
    return SourceMessage(offset, 5_000_000, b"", lambda: None)


async def test_an_offset_without_a_record_is_passed_over() -> None:
    stage = stage_of(next_offset=5)
    await stage.put(empty(3))
    await stage.put(empty(5))
    assert stage.position().received_to == 6


async def test_a_record_that_was_not_delivered_ends_the_stage() -> None:
    stage = stage_of(next_offset=4)
    await stage.put(empty(3))
    with pytest.raises(RecordGapError):
        await stage.put(empty(5))


@pytest.mark.parametrize("ends_with", ["commit", "abort"])
async def test_control_records_of_transactions_are_skipped(
    kafka_broker: str, topic_prefix: str, ends_with: str
) -> None:
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(kafka)
    events = kafka.topics.events
    async with AIOKafkaProducer(**client_options(kafka), transactional_id=topic_prefix) as producer:
        for number in range(2):
            await producer.begin_transaction()
            await producer.send_and_wait(events, b"%d" % number, partition=0)
            if ends_with == "commit":
                await producer.commit_transaction()
            else:
                await producer.abort_transaction()
    partition = TopicPartition(events, 0)
    assert [await next_record(kafka, partition, offset) for offset in (0, 1, 2)] == [0, 2, 2]
