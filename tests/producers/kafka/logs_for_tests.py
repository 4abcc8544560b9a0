"""A broker that may be killed, its logs, and readers of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.structs import ConsumerRecord
from prometheus_client import REGISTRY

from producers.kafka.clients import new_admin, new_producer, stopped
from producers.kafka.log_cursor import (
    Isolation,
)
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from tests.fixtures.engines import await_ready, launched, new_broker, stop

DEADLINE_S = 60.0


class Broker:
    """A broker of these tests, which compacts at once and may be killed."""

    def __init__(self, data_dir: Path) -> None:
        self._embedded = new_broker(data_dir)
        with (data_dir / "server.properties").open("a") as properties:
            properties.write("log.cleaner.backoff.ms=100\n")
        self.kafka = self._embedded.client_settings().model_copy(
            update={"request_timeout_s": 1.0, "broker_wait_s": 1.0, "log_reconnect_max_s": 0.5}
        )
        self._process = launched(self._embedded)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self._process = launched(self._embedded)

    def await_ready(self) -> None:
        await_ready(self._embedded, self._process)

    def stop(self) -> None:
        stop(self._process)


class Log:
    """A topic with one partition."""

    def __init__(
        self, kafka: KafkaSettings, partition: TopicPartition, producer: AIOKafkaProducer
    ) -> None:
        self.kafka = kafka
        self.partition = partition
        self.producer = producer

    async def create(self, **config: str) -> None:
        topic = self.partition.topic
        await self._administer(lambda admin: admin.create_topics([_new_topic(topic, config)]))

    async def delete(self) -> None:
        await self._administer(lambda admin: admin.delete_topics([self.partition.topic]))

    async def remove_before(self, offset: int) -> None:
        removed = {self.partition: RecordsToDelete(before_offset=offset)}
        await self._administer(lambda admin: admin.delete_records(removed))

    async def append(self, *values: int) -> None:
        for value in values:
            await self.producer.send_and_wait(
                self.partition.topic, b"%d" % value, key=b"%d" % value, partition=0
            )

    @asynccontextmanager
    async def transaction(self, *values: int) -> AsyncIterator[AIOKafkaProducer]:
        """Append in a transaction, which stays open until the block decides on it."""
        writer = new_producer(self.kafka, batch_bytes=1024, transactional_id=self.partition.topic)
        await writer.start()
        try:
            await writer.begin_transaction()
            for value in values:
                await writer.send_and_wait(
                    self.partition.topic, b"%d" % value, key=b"%d" % value, partition=0
                )
            yield writer
        finally:
            await stopped(writer, 1.0)

    async def _administer(self, work: Callable[[Any], Awaitable[Any]]) -> None:
        admin = new_admin(self.kafka)
        await admin.start()
        try:
            await work(admin)
        finally:
            await admin.close()


def _new_topic(name: str, config: dict[str, str]) -> NewTopic:
    return NewTopic(name, num_partitions=1, replication_factor=1, topic_configs=config)


class Reading:
    """What a reader delivered."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.offsets: list[int] = []
        self.progress: list[tuple[int, int]] = []

    def __call__(self, record: ConsumerRecord) -> None:
        self.values.append(int(record.value))
        self.offsets.append(record.offset)


@asynccontextmanager
async def reading(
    log: Log, *, isolation: Isolation = "read_committed", **options: Any
) -> AsyncIterator[tuple[LogReader, Reading]]:
    kafka = options.pop("kafka", log.kafka)
    delivered = Reading()
    options.setdefault("on_progress", lambda *progress: delivered.progress.append(progress))
    reader = LogReader(
        kafka, log.partition, options.pop("deliver", delivered), isolation=isolation, **options
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            await reader.start()
            yield reader, delivered
    finally:
        await reader.stop()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.02)


def reconnects(log: Log) -> float:
    labels = {"topic": log.partition.topic}
    return REGISTRY.get_sample_value("tracemill_log_reconnects_total", labels) or 0


async def until_created(log: Log, config: dict[str, str]) -> None:
    """Create a topic whose name may be still in use by one that is being deleted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await log.create(**config)
            except Exception:  # noqa: BLE001
                await asyncio.sleep(0.05)
