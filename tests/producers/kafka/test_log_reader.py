"""The reader of whole logs, on a broker that is killed, compacts, and loses topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.structs import ConsumerRecord
from prometheus_client import REGISTRY

from producers.errors import (
    BrokerUnavailableError,
    LogStalledError,
    LogTruncatedError,
    TopicError,
)
from producers.kafka.clients import new_admin, new_producer, stopped
from producers.kafka.log_cursor import (
    Isolation,
    WhenTruncated,
    new_log_consumer,
    records_between,
)
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from tests.fixtures.engines import await_ready, launched, new_broker, stop

DEADLINE_S = 60.0
ISOLATIONS: tuple[Isolation, ...] = ("read_committed", "read_uncommitted")


class Broker:
    """A broker of this module, which compacts at once and may be killed."""

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


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("log-reader") / "kafka")
    try:
        broker.await_ready()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def kafka(broker: Broker) -> KafkaSettings:
    return broker.kafka


@pytest.fixture
async def log(kafka: KafkaSettings, request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    name = request.node.name.replace("[", "-").replace("]", "")
    producer = new_producer(kafka, batch_bytes=1024)
    await producer.start()
    log = Log(kafka, TopicPartition(name[:200], 0), producer)
    await log.create()
    try:
        yield log
    finally:
        await stopped(producer, 1.0)


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


async def test_existing_records_are_delivered_once_in_order_then_later_ones(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [1, 2, 3]
        await log.append(4)
        await reader.read_up_to(4)
        await reader.caught_up()
        assert delivered.values == [1, 2, 3, 4]
        assert delivered.progress[-1] == (4, 4)


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_an_empty_log_is_read_to_its_end_at_once(log: Log, isolation: Isolation) -> None:
    async with reading(log, isolation=isolation) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == []
        await log.append(1)
        await reader.caught_up()
        assert delivered.values == [1]


async def test_reading_begins_at_an_offset(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log, begin=2) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("outcome", ["commit", "abort"])
async def test_a_log_that_ends_with_a_transaction_is_read_to_its_end(
    log: Log, isolation: Isolation, outcome: str
) -> None:
    await log.append(1)
    seen = [1, 2] if outcome == "commit" or isolation == "read_uncommitted" else [1]
    async with reading(log, isolation=isolation) as (following, delivered):
        await following.caught_up()
        async with log.transaction(2) as writer:
            await getattr(writer, f"{outcome}_transaction")()
        await following.read_up_to(3)  # the broker writes the marker soon after it answered
        await following.caught_up()
        assert delivered.values == seen
    async with reading(log, isolation=isolation) as (late, delivered):
        await late.caught_up()
        assert delivered.values == seen
        assert await late.end_of(log.partition) == 3  # with the marker


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_an_open_transaction_delays_no_reader_that_wants_what_is_committed(
    log: Log, isolation: Isolation
) -> None:
    await log.append(1)
    async with log.transaction(2) as writer:
        await log.append(3)
        async with reading(log, isolation=isolation) as (reader, delivered):
            await reader.caught_up()
            assert delivered.values == ([1] if isolation == "read_committed" else [1, 2, 3])
            await writer.commit_transaction()
            await reader.read_up_to(3)
            assert delivered.values == [1, 2, 3]


async def test_a_compacted_log_is_read_over_its_gaps(log: Log) -> None:
    await log.delete()
    await until_created(
        log,
        {
            "cleanup.policy": "compact",
            "segment.ms": "1",
            "min.cleanable.dirty.ratio": "0.01",
            "min.compaction.lag.ms": "0",
        },
    )
    for _ in range(3):
        await log.append(1, 2)
    delivered = Reading()

    async def read() -> None:
        nonlocal delivered
        async with reading(log) as (reader, delivered):
            await reader.caught_up()

    await read()
    async with asyncio.timeout(DEADLINE_S):
        while len(delivered.values) > 3:  # the last record is in the active segment
            await log.append(2)  # closes the segment
            await asyncio.sleep(0.5)  # the cleaner has to be faster than new segments
            await read()
    assert 1 in delivered.values  # which values are left before the last one varies
    assert delivered.values[-1] == 2
    assert delivered.offsets[0] > 0

    end = delivered.offsets[-1] + 1
    consumer = new_log_consumer(log.kafka)
    await consumer.start()
    try:
        found = [
            record.offset
            async for record in records_between(consumer, log.partition, 0, end, stall_timeout_s=5)
        ]
        assert found[-1] == end - 1
        with pytest.raises(LogStalledError, match="nothing after offset"):
            async for _ in records_between(
                consumer, log.partition, end, end + 9, stall_timeout_s=0.1
            ):
                pass
    finally:
        await consumer.stop()


async def until_created(log: Log, config: dict[str, str]) -> None:
    """Create a topic whose name may be still in use by one that is being deleted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await log.create(**config)
            except Exception:  # noqa: BLE001
                await asyncio.sleep(0.05)


async def test_records_that_raise_are_skipped_and_reported(log: Log) -> None:
    await log.append(1, 2, 3)
    delivered, failed = Reading(), []

    def deliver(record: ConsumerRecord) -> None:
        delivered(record)
        if record.offset == 1:
            raise ValueError("not this one")

    async with reading(
        log, deliver=deliver, on_failure=lambda record, error: failed.append((record.offset, error))
    ) as (reader, _):
        await reader.caught_up()
    assert delivered.values == [1, 2, 3]
    ((offset, error),) = failed
    assert (offset, str(error)) == (1, "not this one")


async def test_a_log_that_lost_its_beginning_is_read_on_or_refused(log: Log) -> None:
    await log.append(1, 2, 3, 4)
    await log.remove_before(2)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3, 4]
    async with reading(log, begin=0) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3, 4]
    async with reading(log, begin=0, when_truncated=WhenTruncated.FAIL) as (reader, delivered):
        with pytest.raises(LogTruncatedError, match="contains the offsets 2 to 4, not 0"):
            await reader.caught_up()
        assert delivered.values == []

    consumer = new_log_consumer(log.kafka)
    await consumer.start()
    try:
        with pytest.raises(LogTruncatedError, match="contains the offsets 2 to 4, not 1"):
            async for _ in records_between(consumer, log.partition, 1, 4, stall_timeout_s=5):
                pass
        found = [
            int(record.value)
            async for record in records_between(
                consumer,
                log.partition,
                0,
                3,
                stall_timeout_s=5,
                when_truncated=WhenTruncated.CONTINUE,
            )
        ]
        assert found == [3]
        with pytest.raises(LogTruncatedError, match="has become shorter"):
            async for _ in records_between(
                consumer,
                log.partition,
                9,
                12,
                stall_timeout_s=5,
                when_truncated=WhenTruncated.CONTINUE,
            ):
                pass
    finally:
        await consumer.stop()


async def test_a_deleted_topic_is_reported_and_read_again_once_it_is_back(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        await log.delete()
        with pytest.raises(TopicError, match="does not exist: run `tracemill migrate`"):
            await reader.caught_up()
        await until_created(log, {})
        await log.append(4)
        await until(lambda: delivered.values == [1, 2, 3, 4])
        await reader.caught_up()
        await log.append(5)
        await reader.caught_up()
        assert delivered.values == [1, 2, 3, 4, 5]


async def test_a_reader_that_stalls_connects_again_and_goes_on(log: Log) -> None:
    await log.append(1)
    kafka = log.kafka.model_copy(update={"log_stall_timeout_s": 0.2})
    async with reading(log, kafka=kafka) as (reader, delivered):
        await reader.caught_up()
        before = reconnects(log)
        waiting = asyncio.create_task(reader.read_up_to(2))
        await until(lambda: reconnects(log) > before + 1)
        assert not waiting.done()
        await log.append(2)
        await waiting
        assert delivered.values == [1, 2]


async def test_a_stall_is_noticed_although_nobody_waits(log: Log) -> None:
    await log.append(1)
    kafka = log.kafka.model_copy(update={"log_stall_timeout_s": 0.2})
    async with reading(log, kafka=kafka) as (reader, delivered):
        await reader.caught_up()
        assert reader._consumer is not None
        reader._consumer.pause(log.partition)  # as if the broker did not answer its requests
        await log.append(2)
        await until(lambda: delivered.values == [1, 2])
        assert reconnects(log) == 1


async def test_reading_continues_after_the_broker_was_killed(log: Log, broker: Broker) -> None:
    await log.append(*range(10))
    async with (
        reading(log) as (reader, delivered),
        reading(log, isolation="read_uncommitted", disconnected_max_s=0.5) as (impatient, other),
    ):
        await reader.caught_up()
        broker.kill()
        waiting = asyncio.create_task(reader.caught_up())
        with pytest.raises(BrokerUnavailableError, match="no Kafka broker answers"):
            await impatient.caught_up()
        assert not waiting.done()
        broker.start()
        await asyncio.to_thread(broker.await_ready)
        await log.append(*range(10, 20))
        await waiting
        for each in (reader, impatient):
            await each.caught_up()
        assert delivered.values == other.values == list(range(20))
