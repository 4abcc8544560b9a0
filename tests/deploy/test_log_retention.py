"""The embedded broker's log is shortened before the disk is full, by processed records only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from clickhouse.all_topics import ensure_topics
from deploy.embedded.kafka import EmbeddedKafka
from deploy.embedded.log_retention import LogRetention, Segment, deletable, segments_below
from producers.disk import MIB, DiskSettings, Space
from producers.kafka.clients import new_admin, new_consumer, new_producer, started
from producers.settings import KafkaSettings
from tests.fixtures.engines import new_broker, running

EVENTS = TopicPartition("tracemill.events", 0)
ROWS = TopicPartition("tracemill.observations", 0)


def chain(partition: TopicPartition, count: int, *, first_s: float = 0.0) -> list[Segment]:
    """Segments of ten records and ten bytes, one a second; the last is being written."""
    return [
        Segment(partition, 10 * n, None if n == count - 1 else 10 * n + 10, 10, first_s + n)
        for n in range(count)
    ]


def test_the_oldest_segments_go_first_and_no_more_than_needed() -> None:
    segments = chain(EVENTS, 5) + chain(ROWS, 5, first_s=0.5)
    before, freed = deletable(segments, {EVENTS: 50, ROWS: 50}, 25)
    assert (before, freed) == ({EVENTS: 20, ROWS: 10}, 30)


def test_uncommitted_records_are_never_deleted() -> None:
    before, freed = deletable(chain(EVENTS, 6), {EVENTS: 25}, 10**9)
    assert (before, freed) == ({EVENTS: 20}, 20)
    assert deletable(chain(EVENTS, 6), {}, 10**9) == ({}, 0)


def test_the_last_closed_segment_is_kept_for_readers_of_the_end() -> None:
    segments, committed = chain(EVENTS, 4) + chain(ROWS, 4), {EVENTS: 10**9, ROWS: 10**9}
    before, _ = deletable(segments, committed, 10**9, {ROWS.topic})
    assert before == {EVENTS: 30, ROWS: 20}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    broker = new_broker(tmp_path_factory.mktemp("retention"))
    with running(broker):
        yield broker


async def test_only_processed_records_of_a_real_log_are_deleted(broker: EmbeddedKafka) -> None:
    kafka = broker.client_settings()
    await ensure_topics(kafka)
    events = TopicPartition(kafka.topics.events, 0)
    producer = await started(lambda: new_producer(kafka, batch_bytes=2 * MIB), kafka)
    consumer = await started(
        lambda: new_consumer(kafka, group_id=f"{kafka.topics.prefix}-streams"), kafka
    )
    try:
        for _ in range(140):
            await producer.send_and_wait(events.topic, os.urandom(MIB), partition=0)
        consumer.assign([events])
        await consumer.commit({events: 70})
        closed = [each for each in segments_below(broker.log_dir, [events.topic]) if each.size]
        assert len(closed) >= 4

        retention = LogRetention(
            broker.log_dir,
            kafka,
            DiskSettings(log_max_share=0.001),
            print_line=print,
            measure=lambda _: Space(10_000 * MIB, 20_000 * MIB, None),
        )
        assert await retention.shrink() > 0
        begin = (await consumer.beginning_offsets([events]))[events]
        assert 0 < begin <= 70
    finally:
        await consumer.stop()
        await producer.stop()


async def test_a_record_that_one_of_two_groups_has_not_read_is_kept(broker: EmbeddedKafka) -> None:
    kafka = broker.client_settings()
    await ensure_topics(kafka)
    topics = kafka.topics
    deltas = TopicPartition(topics.deltas, 0)
    retention = LogRetention(broker.log_dir, kafka, DiskSettings(), print_line=print)
    admin = await started(lambda: new_admin(kafka), kafka)
    try:
        for group, offset, both in ((topics.streams_group, 9, 0), (topics.alerting_group, 4, 4)):
            consumer = await started(partial(new_consumer, kafka, group_id=group), kafka)
            consumer.assign([deltas])
            await consumer.commit({deltas: offset})
            await consumer.stop()
            assert await retention.committed(admin, {deltas}) == {deltas: both}
    finally:
        await admin.stop()


def test_nothing_is_deleted_from_a_log_within_its_limits() -> None:
    retention = LogRetention(
        Path("/none"),
        KafkaSettings(),
        DiskSettings(),
        print_line=print,
        measure=lambda _: Space(5_000 * MIB, 10_000 * MIB, None),
    )
    assert retention.excess(chain(EVENTS, 5)) <= 0
