"""Rows that the store refuses become dead letters, and the others are stored."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.errors import TooManyRefusals
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.settings import MIB, KafkaSettings
from tests.clickhouse.sink_for_tests import DEADLINE_S, count, eventually, observation
from tests.fixtures.sink import sinking


async def test_a_refused_row_becomes_a_dead_letter_and_the_others_are_stored(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    bad = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"not a number","row_version":1}'
    lines = [*(observation(number) for number in range(20)), bad, observation(20)]
    await producer.send_and_wait(kafka.topics.observations, b"\n".join(lines), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def isolated() -> bool:
            return (
                await count(clickhouse_store) == 21
                and await count(clickhouse_store, "dead_letters") == 1
            )

        await eventually(isolated)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert (letter["project_id"], letter["stage"], letter["reason"]) == (
        "p",
        "sink",
        "refused_by_store",
    )
    assert letter["payload"] == bad.decode()
    assert "start_us" in letter["detail"]


async def test_consecutive_refused_rows_stop_the_sink(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    bad = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"no","row_version":1}'
    await producer.send_and_wait(kafka.topics.observations, b"\n".join([bad] * 20), partition=0)
    settings = SinkSettings(refused_rows_consecutive_max=10)
    with pytest.raises(TooManyRefusals, match="20 consecutive rows of observations"):
        await asyncio.wait_for(
            run_sink(kafka, clickhouse_store, settings, asyncio.Event()), DEADLINE_S
        )


async def test_a_dead_letter_refers_to_the_record_of_its_row(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    bad = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"not a number","row_version":1}'
    await producer.send_and_wait(
        kafka.topics.observations, observation(1) + b"\n" + observation(2), partition=1
    )
    refused = await producer.send_and_wait(
        kafka.topics.observations, observation(3) + b"\n" + bad, partition=1
    )
    await producer.send_and_wait(kafka.topics.observations, observation(4), partition=1)
    async with sinking(kafka, clickhouse_store):

        async def told() -> bool:
            return await count(clickhouse_store, "dead_letters") == 1

        await eventually(told)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert (letter["source_topic"], letter["source_partition"], letter["source_offset"]) == (
        kafka.topics.observations,
        1,
        refused.offset,
    )
    assert int(letter["created_time"].timestamp() * 1000) == refused.timestamp


async def test_a_refused_row_that_is_too_long_is_cut_and_marked(
    kafka_broker: str, topic_prefix: str, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    """Quotes are escaped once in the row and twice in its dead letter, which exceeds a record."""
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix, record_max_bytes=MIB)
    await ensure_topics(kafka)
    text = b'\\"' * 450_000
    bad = (
        b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"no","row_version":1,"input":"%b"}'
    )
    line = bad % text
    await producer.send_and_wait(kafka.topics.observations, line, partition=0)
    await producer.send_and_wait(kafka.topics.observations, observation(1), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def both() -> bool:
            return (
                await count(clickhouse_store) == 1
                and await count(clickhouse_store, "dead_letters") == 1
            )

        await eventually(both)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert line.decode().startswith(letter["payload"])
    kept = len(letter["payload"])
    assert 400_000 < kept < len(line)
    assert letter["detail"].startswith(
        f"payload cut to {kept} of {len(line)} characters (record_max_bytes); code "
    )
