"""An event that ends its worker by a signal is set aside; the others are processed, and it can be sent in again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from deploy.embedded.launch import bound_to_this_process
from producers.kafka import client_options
from producers.settings import KafkaSettings
from producers.topics_admin import ensure_topics
from tests.fixtures.sink import sinking
from tracemill.contract import Observation, encode_event

ROOT = Path(__file__).parents[2]
WITHIN_S = 90.0
COST_PICO = 1_000
POISONED = "tests.streams.quarantine.poisoned_worker"

Worker = subprocess.Popen[bytes]
StartWorker = Callable[..., Worker]


@pytest.fixture
def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(
        broker=kafka_broker, topic_prefix=topic_prefix, event_partitions=1, project_partitions=1
    )


@pytest.fixture
def environment(kafka: KafkaSettings, clickhouse_store: Store) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'producers' / 'sdk'}",
        "TRACEMILL_BROKER": kafka.broker,
        "TRACEMILL_TOPIC_PREFIX": kafka.topic_prefix,
        "TRACEMILL_EVENT_PARTITIONS": "1",
        "TRACEMILL_PROJECT_PARTITIONS": "1",
        "TRACEMILL_CLICKHOUSE_URL": clickhouse_store.settings.clickhouse_url,
        "TRACEMILL_CLICKHOUSE_DATABASE": clickhouse_store.database,
        # A worker that starts again has its partitions at once.
        "TRACEMILL_STREAMS_INSTANCE_ID": "one",
        "TRACEMILL_QUARANTINE_TRIAL_TIMEOUT_S": "2",
    }


@pytest.fixture
def start_worker(environment: dict[str, str]) -> Iterator[StartWorker]:
    """Starts workers; none of them outlives the test."""
    workers: list[Worker] = []

    def start(module: str, *arguments: str) -> Worker:
        command = [sys.executable, "-m", module, *arguments]
        worker = subprocess.Popen(bound_to_this_process(command), cwd=ROOT, env=environment)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGKILL", "exit"])
async def test_an_event_that_ends_its_worker_costs_itself(
    how: str,
    kafka: KafkaSettings,
    clickhouse_store: Store,
    start_worker: StartWorker,
) -> None:
    await ensure_topics(kafka)
    before, poison, after = event("a", 1), event("b", 2, name=f"poison-{how}"), event("a", 3)
    others = [event("c", number) for number in range(4, 40)]
    await produce(kafka, [before, poison, after], *([each] for each in others))
    good = [before, after, *others]
    async with sinking(kafka, clickhouse_store):
        deaths = await run_until_stored(start_worker, clickhouse_store, good)
    assert 1 <= deaths <= 3
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert (letter["project_id"], letter["reason"]) == ("b", "crashed_worker")
    assert letter["payload"].encode() == encode_event(poison)
    assert (letter["source_partition"], letter["source_offset"]) == (0, 0)


async def run_until_stored(
    start_worker: StartWorker, store: Store, events: list[Observation], module: str = POISONED
) -> int:
    """Start the worker again whenever it ends, until exactly ``events`` are stored; how often it ended."""
    deaths = 0
    worker = start_worker(module)
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while (wrong := await difference(store, events)) is not None:
        if worker.poll() is not None:
            deaths += 1
            worker = start_worker(module)
        assert asyncio.get_running_loop().time() < deadline, wrong
        await asyncio.sleep(0.1)
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, WITHIN_S) == 0
    return deaths


async def difference(store: Store, events: list[Observation]) -> object:
    """What is stored where it is not exactly ``events``."""
    rows = await store.query(
        "SELECT project_id, id, toInt64(total_cost * 1e12) AS pico FROM observations FINAL"
    )
    found = sorted((row["project_id"], row["id"], int(row["pico"])) for row in rows)
    if found != sorted((each.project_id, each.id, COST_PICO) for each in events):
        return found
    for table, count in (("windows", "sum(observation_count)"), ("spend", "0")):
        (totals,) = await store.query(
            f"SELECT toInt64(sum(total_cost) * 1e12) AS pico, {count} AS n FROM {table} FINAL"
        )
        n = int(totals["n"]) if table == "windows" else len(events)
        if (int(totals["pico"]), n) != (COST_PICO * len(events), len(events)):
            return table, totals
    return None


def event(project_id: str, number: int, name: str = "answer") -> Observation:
    return Observation(
        project_id=project_id,
        trace_id=f"t{number}",
        id=f"o{number}",
        ts_us=now_us(),
        start_us=now_us(),
        name=name,
        type="GENERATION",
        cost={"total": COST_PICO},
    )


def now_us() -> int:
    return time.time_ns() // 1_000


async def produce(kafka: KafkaSettings, *records: list[Observation]) -> None:
    async with AIOKafkaProducer(**client_options(kafka)) as producer:
        for record in records:
            value = b"\n".join(map(encode_event, record))
            await producer.send_and_wait(kafka.topics.events, value, partition=0)
