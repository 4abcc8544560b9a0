"""A pipeline from ``deltas`` on: real broker, store and sink, and workers that can be killed."""

import asyncio
import base64
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from clickhouse.all_topics import ensure_topics
from clickhouse.rows import AlertRow
from clickhouse.store import Store
from producers.control.kinds.budget import Budget
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from streams.core.rollups.deltas import Delta, partition_of_project
from tests.fixtures.control_log import following
from tests.fixtures.daytime import daytime_zone
from tests.fixtures.sink import sinking

ROOT = Path(__file__).parents[2]
OUTPUT_MAX_BYTES = 2**20


@dataclass
class Pipeline:
    """Sends deltas, starts and kills workers, and reads the output."""

    kafka: KafkaSettings
    store: Store
    control: ControlLog
    producer: AIOKafkaProducer
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _outputs: dict[int, IO[bytes]] = field(default_factory=dict)

    def start_worker(
        self,
        module: str = "tests.streams.project_process",
        *,
        log: IO[bytes] | None = None,
        **settings: str,
    ) -> subprocess.Popen[bytes]:
        # A pipe that nobody reads would be full after a few tracebacks, and block the worker.
        output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by kill_workers
        worker = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": f"{ROOT}:{ROOT}/producers/sdk",
                "TRACEMILL_BROKER": self.kafka.broker,
                "TRACEMILL_TOPIC_PREFIX": self.kafka.topic_prefix,
                "TRACEMILL_CLICKHOUSE_URL": self.store.settings.clickhouse_url,
                "TRACEMILL_CLICKHOUSE_DATABASE": self.store.database,
                "TRACEMILL_WEBHOOKS_ALLOW_PRIVATE": "true",
            }
            | settings,
            stdout=output,
            stderr=log,
        )
        self.workers.append(worker)
        self._outputs[worker.pid] = output
        return worker

    async def ready(self, worker: subprocess.Popen[bytes]) -> None:
        """Return once a worker takes part."""
        output = self._outputs[worker.pid]
        while b"ready" not in os.pread(output.fileno(), OUTPUT_MAX_BYTES, 0).splitlines():
            assert worker.poll() is None, f"the worker ended with {worker.returncode}"
            await asyncio.sleep(0.02)

    def kill_workers(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            self._outputs.pop(worker.pid).close()
        self.workers.clear()

    async def send(self, *deltas: Delta) -> None:
        """Each project's deltas in one record of its partition, acknowledged."""
        by_partition: dict[int, list[bytes]] = {}
        for delta in deltas:
            partition = partition_of_project(delta.project_id, self.kafka.project_partitions)
            by_partition.setdefault(partition, []).append(msgspec.json.encode(delta))
        for partition, lines in by_partition.items():
            await self.producer.send_and_wait(
                self.kafka.topics.deltas, b"\n".join(lines), partition=partition
            )

    async def put_budget(self, **fields: object) -> Budget:
        budget = Budget(
            **{
                "id": "b1",
                "project_id": "p1",
                "name": "daily",
                "period": "day",
                "time_zone": daytime_zone(),
                "limit_pico": 1_000,
                "thresholds": ("0.8", "1.0"),
                "created_us": time.time_ns() // 1_000,
            }
            | fields
        )
        await self.control.put(budget)
        return budget

    async def put_webhook(self, url: str, **fields: object) -> Webhook:
        webhook = Webhook(
            **{
                "id": "w1",
                "project_id": "p1",
                "url": url,
                "events": ("budget.threshold_crossed",),
                "secret": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
                "created_us": time.time_ns() // 1_000,
            }
            | fields
        )
        await self.control.put(webhook)
        return webhook

    async def put_alert(self, alert_id: str, **fields: object) -> AlertRow:
        """An alert as stage 3 writes it."""
        now_us = time.time_ns() // 1_000
        alert = AlertRow(
            **{
                "project_id": "p1",
                "id": alert_id,
                "budget_id": "b1",
                "name": "daily",
                "scope": '{"user_id":"u1"}',
                "period_start_us": now_us // 86_400_000_000 * 86_400_000_000,
                "threshold": "0.8",
                "spent_pico": 85_000_000_000,
                "limit_pico": 100_000_000_000,
                "trace_id": "t1",
                "created_us": now_us,
                "row_version": 1,
            }
            | fields
        )
        await self.producer.send_and_wait(
            self.kafka.topics.alerts, msgspec.json.encode(alert), key=alert.id.encode(), partition=0
        )
        return alert

    async def alerts(self) -> list[AlertRow]:
        """Every alert ever written, in order, repeats included."""
        return [
            msgspec.json.decode(value, type=AlertRow)
            for value in await self.values_of(self.kafka.topics.alerts)
        ]

    async def values_of(self, topic: str) -> list[bytes]:
        """Every value of a topic of one partition."""
        async with AIOKafkaConsumer(
            **client_options(self.kafka), auto_offset_reset="earliest"
        ) as consumer:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            values: list[bytes] = []
            while await consumer.position(partition) < end:
                records = (await consumer.getmany(timeout_ms=200)).get(partition, ())
                values += [record.value for record in records]
            return values

    async def rows(self, sql: str) -> list[dict]:
        return await self.store.query(sql)


@pytest.fixture
async def pipeline(
    kafka_broker: str, topic_prefix: str, clickhouse_store: Store
) -> AsyncIterator[Pipeline]:
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(kafka)
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(following(kafka))
        producer = await stack.enter_async_context(
            AIOKafkaProducer(**client_options(KafkaSettings(broker=kafka_broker)), acks="all")
        )
        await stack.enter_async_context(sinking(kafka, clickhouse_store))
        running = Pipeline(kafka, clickhouse_store, control, producer)
        stack.callback(running.kill_workers)
        yield running


@pytest.fixture
def until() -> Callable:
    """Wait until an async condition is truthy; return its value.

    Two minutes are enough for a worker to start and catch up after a kill, on a slow machine, too.
    """

    async def wait(condition: Callable, within_s: float = 120.0):
        deadline = time.monotonic() + within_s
        while True:
            outcome = await condition()
            if outcome:
                return outcome
            assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
            await asyncio.sleep(0.05)

    return wait
