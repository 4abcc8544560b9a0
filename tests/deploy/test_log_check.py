"""A lost or shortened log is detected, and `tracemill recover` continues it."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from clickhouse.all_topics import ensure_topics
from clickhouse.log_positions import LogPosition, read_positions, write_positions
from clickhouse.store import Store
from deploy.errors import EX_CONFIG, LogLostError
from deploy.processes.log_check import compare_log, log_state, refuse_lost_log
from deploy.recovery.recover import recover
from producers.kafka.clients import new_admin, new_producer, started
from producers.settings import KafkaSettings


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    return settings


async def note(
    kafka: KafkaSettings, store: Store, *, end: int = 0, cluster_id: str = ""
) -> LogPosition:
    now = await log_state(kafka)
    position = LogPosition(
        topic=kafka.topics.events,
        topic_partition=1,
        cluster_id=cluster_id or now.cluster_id,
        end_offset=end,
        stored_offset=0,
        row_version=1,
    )
    await write_positions(store, [position])
    return position


async def test_a_log_with_its_recorded_end_is_accepted(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    await note(kafka, clickhouse_store)
    await refuse_lost_log(kafka, clickhouse_store)


async def test_another_cluster_is_refused_in_one_line(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    await note(kafka, clickhouse_store, cluster_id="another-cluster")
    with pytest.raises(LogLostError) as refused:
        await refuse_lost_log(kafka, clickhouse_store)
    assert "the store was filled from another-cluster" in str(refused.value)
    assert "`tracemill recover`" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == EX_CONFIG


async def test_the_error_names_a_missing_topic(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    await note(kafka, clickhouse_store)
    admin = await started(lambda: new_admin(kafka), kafka)
    try:
        await admin.delete_topics([kafka.topics.events])
    finally:
        await admin.stop()
    with pytest.raises(LogLostError, match=rf"topic {kafka.topics.events} is missing"):
        await refuse_lost_log(kafka, clickhouse_store)


async def test_recover_continues_a_shorter_log_at_its_recorded_end(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    producer = await started(lambda: new_producer(kafka, batch_bytes=1_000), kafka)
    try:
        await producer.send_and_wait(kafka.topics.events, b"", partition=1)
    finally:
        await producer.stop()
    await note(kafka, clickhouse_store, end=5)
    with pytest.raises(LogLostError, match="ends at 1, before the recorded 5"):
        await refuse_lost_log(kafka, clickhouse_store)
    lines: list[str] = []
    assert await recover(
        kafka, clickhouse_store, None, print_line=lines.append, confirm=lambda _: True
    )
    ends = (await log_state(kafka)).ends
    assert ends[TopicPartition(kafka.topics.events, 1)] == 5
    await refuse_lost_log(kafka, clickhouse_store)
    lines.clear()
    assert await recover(
        kafka, clickhouse_store, None, print_line=lines.append, confirm=lambda _: False
    )
    assert lines == ["nothing to recover: the log is the one that the store was filled from"]


async def test_without_a_confirmation_nothing_is_changed(
    kafka: KafkaSettings, clickhouse_store: Store
) -> None:
    position = await note(kafka, clickhouse_store, cluster_id="another-cluster")
    lines: list[str] = []
    assert not await recover(
        kafka, clickhouse_store, None, print_line=lines.append, confirm=lambda _: False
    )
    assert await read_positions(clickhouse_store) == [position]
    assert (await compare_log(kafka, clickhouse_store)).faults
