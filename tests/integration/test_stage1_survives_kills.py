"""Stage 1 with broker and store: events are sent twice, shuffled, and workers killed at random."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from clickhouse.all_topics import ensure_topics
from clickhouse.rows import ObservationRow, TraceRow
from clickhouse.store import Store
from deploy.embedded.launch import bound_to_this_process
from deploy.embedded.ports import free_ports
from deploy.quarantine_access import open_quarantine
from producers.control.kinds.price import Price
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from streams.core.observations.fold import Needs
from streams.core.rollups.deltas import Delta
from streams.observations.readback import StoreHistory
from streams.observations.settings import StreamsSettings
from streams.runtime.sink_progress import SinkProgress
from tests.fixtures.control_log import following
from tests.fixtures.sink import sinking
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.stage1_events import random_events
from tracemill.contract import Event, encode_event
from tracemill.partitioning import partition_key, partition_of

ROOT = Path(__file__).parents[2]
EVENTS = 1_500
READY_WITHIN_S = 120.0
STORED_WITHIN_S = 300.0
STOPPED_WITHIN_S = 60.0

StartWorker = Callable[[], tuple[subprocess.Popen[bytes], int]]
"""Gives the process and the port of its metrics."""


@pytest.fixture(autouse=True)
def _prices_of_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have one rate for all tokens, so caches save nothing, and name no provider."""
    monkeypatch.setattr(oracle, "SAVED_PER_CACHED", 0)
    monkeypatch.setattr(oracle, "provider_of", lambda _model: "")


@pytest.fixture
def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)


async def test_events_sent_twice_and_shuffled_are_counted_once_whoever_dies(
    kafka: KafkaSettings, clickhouse_store: Store, start_worker: StartWorker
) -> None:
    chance = Random(2026)
    await ensure_topics(kafka)
    await set_prices(kafka)
    events = random_events(chance, EVENTS, traces=200)
    twice = [*events, *events]
    chance.shuffle(twice)
    third_of_all = len(twice) // 3
    async with sinking(kafka, clickhouse_store):
        first, port = start_worker()
        await until_ready(first, port)
        await asyncio.gather(produce(kafka, twice[:third_of_all], chance), die_soon(first, chance))
        second, port = start_worker()
        await until_ready(second, port)
        third, port = start_worker()
        await asyncio.gather(
            produce(kafka, twice[third_of_all : 2 * third_of_all], chance),
            until_ready(third, port),  # they share the partitions now
        )
        await asyncio.gather(
            produce(kafka, twice[2 * third_of_all :], chance), die_soon(second, chance)
        )
        await until_stored(kafka, clickhouse_store, events)
        third.terminate()
        assert await asyncio.to_thread(third.wait, STOPPED_WITHIN_S) == 0
    async with open_quarantine(kafka) as quarantine:
        assert list(quarantine.view.all_entries()) == []  # kills from outside set nothing aside
    windows, spend = applied(await deltas_of(kafka))
    assert windows == oracle.windows_of(events)
    assert spend == oracle.spend_of(events)


async def die_soon(worker: subprocess.Popen[bytes], chance: Random) -> None:
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    worker.kill()
    worker.wait()


async def set_prices(kafka: KafkaSettings) -> None:
    async with following(kafka) as control:
        for model, rate in oracle.RATES.items():
            prices = {"input": rate, "output": rate}
            await control.put(Price(id=model, match=model, prices=prices))


async def produce(kafka: KafkaSettings, events: list[Event], chance: Random) -> None:
    """In records of 1 to 20 events, over about as long as it takes a worker to die."""
    by_partition: dict[int, list[bytes]] = {}
    for event in events:
        partition = partition_of(event.project_id, partition_key(event), kafka.event_partitions)
        by_partition.setdefault(partition, []).append(encode_event(event))
    async with AIOKafkaProducer(**client_options(kafka), enable_idempotence=True) as producer:
        while by_partition:
            partition = chance.choice(list(by_partition))
            lines = by_partition[partition]
            size = chance.randint(1, 20)
            await producer.send_and_wait(
                kafka.topics.events, b"\n".join(lines[:size]), partition=partition
            )
            del lines[:size]
            if not lines:
                del by_partition[partition]
            await asyncio.sleep(0.02)


@pytest.fixture
def start_worker(kafka: KafkaSettings, clickhouse_store: Store) -> Iterator[StartWorker]:
    """Starts workers; none of them outlives the test."""
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], int]:
        (port,) = free_ports(1)
        worker = subprocess.Popen(
            bound_to_this_process([sys.executable, "-m", "deploy", "streams"]),
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'producers' / 'sdk'}",
                "TRACEMILL_BROKER": kafka.broker,
                "TRACEMILL_TOPIC_PREFIX": kafka.topic_prefix,
                "TRACEMILL_CLICKHOUSE_URL": clickhouse_store.settings.clickhouse_url,
                "TRACEMILL_CLICKHOUSE_DATABASE": clickhouse_store.database,
                "TRACEMILL_METRICS_PORT": str(port),
                # Small enough that most traces leave memory and are read back.
                "TRACEMILL_STREAMS_RESIDENT_OBSERVATIONS_MAX": "200",
                "TRACEMILL_STREAMS_CHUNK_RECORDS_MAX": "8",
            },
        )
        workers.append(worker)
        return worker, port

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


async def until_ready(worker: subprocess.Popen[bytes], port: int) -> None:
    async with httpx.AsyncClient() as client:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            assert worker.poll() is None, f"the worker ended with {worker.returncode}"
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)


async def until_stored(kafka: KafkaSettings, store: Store, events: list[Event]) -> None:
    """Wait until the store says what the events say."""
    settings = StreamsSettings()
    history = StoreHistory(kafka, store, settings, SinkProgress(kafka, settings.sink_poll_s))
    observations, traces = oracle.observations_of(events), oracle.traces_of(events)
    needs = Needs(set(traces), set(observation_parts(observations)))
    deadline = asyncio.get_running_loop().time() + STORED_WITHIN_S
    while True:
        stored_observations: dict[Any, ObservationRow] = {}
        stored_traces: dict[Any, TraceRow] = {}
        for each in await history.read_back(needs):
            if each.row is not None:
                stored_traces[each.key] = each.row
            for row in each.observations:
                stored_observations[(*each.key, row.id)] = row
        wrong = [
            *differences(observations, stored_observations, oracle.said_by_observation),
            *differences(traces, stored_traces, said_by_trace),
        ]
        if not wrong:
            break
        assert asyncio.get_running_loop().time() < deadline, wrong[:3]
        await asyncio.sleep(0.5)
    assert len(stored_observations) == await count(store, "observations")
    assert len(stored_traces) == await count(store, "traces")


def observation_parts(observations: dict[Any, Any]) -> list[Any]:
    return [((project_id, trace_id), id_) for project_id, trace_id, id_ in observations]


def said_by_trace(row: TraceRow) -> dict[str, Any]:
    """What is read back of a trace: not its totals, which follow from the observations."""
    said = oracle.said_by_trace(row)
    for total in (
        "end_us",
        "root_observation_id",
        "error_count",
        "unpriced_count",
        "usage",
        "total_cost_pico",
        "summaries",
    ):
        del said[total]
    return said


def differences(
    expected: dict[Any, dict[str, Any]], stored: dict[Any, Any], said_by: Callable[[Any], Any]
) -> list[Any]:
    wrong: list[Any] = [key for key in expected if key not in stored]
    for key, row in stored.items():
        said = said_by(row)
        if said != oracle.expected(expected[key], said):
            wrong.append((key, said, oracle.expected(expected[key], said)))
    return wrong


async def count(store: Store, table: str) -> int:
    (row,) = await store.query(f"SELECT count() AS rows FROM {table} FINAL")
    return int(row["rows"])


async def deltas_of(kafka: KafkaSettings) -> list[list[Delta]]:
    """The deltas topic, record by record, partition after partition."""
    partitions = [
        TopicPartition(kafka.topics.deltas, number) for number in range(kafka.project_partitions)
    ]
    records: list[list[Delta]] = []
    async with AIOKafkaConsumer(**client_options(kafka), auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                polled = await consumer.getmany(partition, timeout_ms=500)
                records += [
                    [msgspec.json.decode(line, type=Delta) for line in record.value.split(b"\n")]
                    for record in polled.get(partition, ())
                ]
    return records
