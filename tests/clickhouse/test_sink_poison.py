"""Values on row topics that are not rows: the other rows are stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from clickhouse.feeds import FEEDS
from clickhouse.rows import ControlLogRow
from clickhouse.sink.control_log import control_row
from clickhouse.store import Store
from producers.settings import KafkaSettings
from tests.clickhouse.sink_for_tests import count, eventually, observation
from tests.fixtures.sink import sinking

HEAD = b'{"project_id":"p","trace_id":"t","id":"bad","row_version":1,'
POISON = {
    "no JSON": b"\x00\xff\xfe",
    "a bracket": b"[",
    "null": b"null",
    "a string": b'"row"',
    "an open string": HEAD + b'"input":"',
    "an open object": HEAD[:-1],
    "an unknown field": HEAD + b'"surprise":1}',
    "a nested unknown field": HEAD + b'"surprise":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a fraction of money": HEAD + b'"total_cost_pico":0.5}',
    "an exponent": HEAD + b'"start_us":1e99999}',
    "text for a number": HEAD + b'"start_us":"no"}',
    "a nested number": HEAD + b'"usage":' + b"[" * 2_000 + b"}",
}
LEGAL = {
    "what ends the data in ClickHouse, which is no row": b"\n".join(
        [observation(1004), b";", observation(1005)]
    ),
    "NUL in a text": observation(1001, input="a\0b"),
    "bytes that are not UTF-8": observation(1002, input="~").replace(b"~", b"\xff\xfe"),
    "a text of 8 MB": observation(1003, input="x" * 8_000_000),
}


async def test_each_malformed_line_costs_only_itself(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    topic = kafka.topics.observations
    for number, line in enumerate(POISON.values()):
        body = b"\n".join([observation(2 * number), line, observation(2 * number + 1)])
        await producer.send_and_wait(topic, body, partition=number % 2)
        await producer.send_and_wait(topic, None, key=b"none", partition=number % 2)
    for line in LEGAL.values():
        await producer.send_and_wait(topic, line, partition=0)
    good = 2 * len(POISON) + len(LEGAL) + 1
    async with sinking(kafka, clickhouse_store):

        async def isolated() -> bool:
            return await count(clickhouse_store) == good and (
                await count(clickhouse_store, "dead_letters") == len(POISON)
            )

        await eventually(isolated)


async def test_a_sketch_that_the_store_cannot_read_costs_its_window_only(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    head = b'{"project_id":"p","window_s":60,"environment":"e","name":"n","row_version":1,'
    lines = [head + b'"model":"%d"}' % number for number in range(9)]
    lines.insert(4, head + b'"model":"bad","latency_state_hex":"ff"}')
    await producer.send_and_wait(kafka.topics.windows, b"\n".join(lines), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def isolated() -> bool:
            return (
                await count(clickhouse_store, "windows") == 9
                and await count(clickhouse_store, "dead_letters") == 1
            )

        await eventually(isolated)


async def test_an_unreadable_record_becomes_a_dead_letter_without_its_secrets(
    kafka: KafkaSettings,
    clickhouse_store: Store,
    producer: AIOKafkaProducer,
) -> None:
    def fails_once(record: ConsumerRecord, secrets: Any) -> bytes:
        if record.key == b"webhook/w1/n1":
            raise OverflowError("year 10000")
        return control_row(record, secrets)

    feeds = [
        replace(feed, row_of=fails_once) if feed.row is ControlLogRow else feed for feed in FEEDS
    ]
    topic = kafka.topics.control
    await producer.send_and_wait(topic, b'{"secret":"whsec_1"}', key=b"webhook/w1/n1")
    await producer.send_and_wait(topic, b"[" * 100_000, key=b"\xff\xfe")
    await producer.send_and_wait(
        topic, b'{"kind":"webhook","record":{"url":1}}', key=b"webhook/w2/n2"
    )
    async with sinking(kafka, clickhouse_store, feeds=feeds):

        async def isolated() -> bool:
            return (
                await count(clickhouse_store, "control_log") == 2
                and await count(clickhouse_store, "dead_letters") == 1
            )

        await eventually(isolated)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert letter["reason"] == "unreadable_record"
    assert "OverflowError('year 10000')" in letter["detail"]
    assert "whsec_1" not in str(letter)


async def test_a_refused_dead_letter_is_replaced_by_a_minimal_one(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    topic = kafka.topics.dead_letters
    head = b'{"project_id":"p","id":"a","created_us":1700000000000000,"stage":"sink","reason":"r"'
    refused = await producer.send_and_wait(
        topic, head + b',"payload":"x","surprise":1}', partition=0
    )
    await producer.send_and_wait(topic, head + b',"surprise":2}', partition=0)
    await producer.send_and_wait(topic, head + b"}", partition=0)
    async with sinking(kafka, clickhouse_store):

        async def isolated() -> bool:
            return await count(clickhouse_store, "dead_letters") == 2

        await eventually(isolated)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL WHERE id != 'a'")
    assert (letter["source_topic"], letter["source_offset"]) == (topic, refused.offset)
    assert letter["payload"] == ""
    assert "sha256" in letter["detail"]
