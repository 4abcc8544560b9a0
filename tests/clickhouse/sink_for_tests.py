"""A sink on the real broker and the real engine, and the rows it is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.rows import ObservationRow
from clickhouse.store import Store
from producers.kafka.clients import new_producer
from producers.settings import KafkaSettings

DEADLINE_S = 120.0
START_US = 1_767_225_600_000_000


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = new_producer(kafka, batch_bytes=1_000_000)
    await producer.start()
    yield producer
    await producer.stop()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < deadline_s, "not in time"
        await asyncio.sleep(0.05)


def observation(number: int, **fields: object) -> bytes:
    row = {
        "project_id": "p",
        "trace_id": f"trace-{number // 5}",
        "id": f"span-{number}",
        "start_us": START_US + number,
        "row_version": 1,
        "total_cost_pico": 7,
    }
    return msgspec.json.encode(msgspec.convert(row | fields, ObservationRow))


async def count(store: Store, table: str = "observations") -> int:
    rows = await store.query(f"SELECT count() AS n FROM {table} FINAL")
    return int(rows[0]["n"])
