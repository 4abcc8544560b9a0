"""A stage that is defined here runs beside the others, and a kill changes nothing of its effects.

It counts the events of each project. ``python -m tests.streams.test_toy_stage`` is its worker.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import Gauge

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.logs import configure_logs
from producers.control.log import ControlLog
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings, WebhookSettings
from streams.observations.settings import StreamsSettings
from streams.quarantine.settings import QuarantineSettings
from streams.rollups.settings import ProjectSettings
from streams.runtime.lag import Backlog, Lag, Position
from streams.runtime.partition_host import StageSpec
from streams.runtime.partition_worker import PartitionWorker, SourceMessage
from streams.runtime.worker import Streams
from tests.streams.project_pipeline import pipeline, until
from tracemill.clock import now_us
from tracemill.contract import Observation, decode_event, encode_event

__all__ = ["pipeline", "until"]

PENDING_MAX = 4
LAG_RECORDS = Gauge("toy_lag_records", "Records behind.", ["partition"])
LAG_S = Gauge("toy_lag_seconds", "Age of the oldest record.", ["partition"])


class Counts(msgspec.Struct):
    """The checkpoint and the output at once: absolute counts after an offset."""

    offset: int = -1
    by_project: dict[str, int] = {}


class CountingPartition:
    """Counts the events of one partition; its last record is its state."""

    def __init__(self, kafka: KafkaSettings, producer: AIOKafkaProducer, number: int) -> None:
        self.is_restored = False
        self._kafka, self._producer = kafka, producer
        self._partition = TopicPartition(counts_topic(kafka), number)
        self._pending: asyncio.Queue[SourceMessage] = asyncio.Queue(PENDING_MAX)
        self._backlog, self._counts, self._received_to = Backlog(), Counts(), 0
        self._is_writing = asyncio.Lock()

    async def run(self) -> None:
        self._counts = await last_counts(self._kafka, self._partition)
        self.is_restored = True
        while True:
            message = await self._pending.get()
            async with self._is_writing:
                if message.offset > self._counts.offset:
                    await self._count(message)
            message.ack()
            self._backlog.done(message.offset + 1)

    async def _count(self, message: SourceMessage) -> None:
        counted = Counter(self._counts.by_project)
        counted.update(decode_event(line).project_id for line in message.value.splitlines())
        counts = Counts(message.offset, dict(counted))
        await self._producer.send_and_wait(
            self._partition.topic,
            msgspec.json.encode(counts),
            partition=self._partition.partition,
        )
        self._counts = counts

    @property
    def is_full(self) -> bool:
        return self._pending.full()

    async def put(self, message: SourceMessage) -> None:
        self._received_to = message.offset + 1
        self._backlog.received(message.offset, message.append_us / 1e6)
        await self._pending.put(message)

    async def finish(self) -> None:
        await self._is_writing.acquire()

    def lag(self, end: int | None, now_s: float) -> Lag:
        return self._backlog.lag(end, now_s)

    def position(self) -> Position:
        return Position(self._counts.offset + 1, self._received_to)


def counting_stage(
    kafka: KafkaSettings, producer: AIOKafkaProducer
) -> StageSpec[CountingPartition]:
    def new_worker(number: int, _: CountingPartition | None) -> CountingPartition:
        return CountingPartition(kafka, producer, number)

    return StageSpec("toy", kafka.topics.events, new_worker, LAG_RECORDS, LAG_S, 5.0)


def counts_topic(kafka: KafkaSettings) -> str:
    return f"{kafka.topic_prefix}.toy-counts"


async def last_counts(kafka: KafkaSettings, partition: TopicPartition) -> Counts:
    async with AIOKafkaConsumer(**client_options(kafka)) as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        if not end:
            return Counts()
        consumer.seek(partition, end - 1)
        return msgspec.json.decode((await consumer.getone(partition)).value, type=Counts)


async def test_a_custom_stage_counts_exactly_although_its_worker_is_killed(pipeline, until):
    kafka: KafkaSettings = pipeline.kafka
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    await admin.create_topics([NewTopic(counts_topic(kafka), kafka.event_partitions, 1)])
    await admin.close()
    sent: Counter[str] = Counter()

    async def send(first: int) -> None:
        for number in range(first, first + 100):
            event = Observation(
                project_id=f"p{number % 3}", trace_id=f"t{number}", id="o", ts_us=now_us()
            )
            sent[event.project_id] += 1
            await pipeline.producer.send_and_wait(
                kafka.topics.events, encode_event(event), partition=number % kafka.event_partitions
            )

    async def counted() -> Counter[str]:
        total: Counter[str] = Counter()
        for number in range(kafka.event_partitions):
            partition = TopicPartition(counts_topic(kafka), number)
            total.update((await last_counts(kafka, partition)).by_project)
        return total

    async def is_counted() -> bool:
        return await counted() == sent

    async def is_stored() -> bool:
        (row,) = await pipeline.rows("SELECT count() AS n FROM observations FINAL")
        return row["n"] == sent.total()

    module = "tests.streams.test_toy_stage"
    await send(0)
    pipeline.start_worker(module)
    await until(counted)
    pipeline.kill_workers()
    await send(100)
    pipeline.start_worker(module)
    await until(is_counted)
    await until(is_stored)
    pipeline.kill_workers()
    assert await counted() == sent


def test_the_toy_implements_the_protocol_of_partition_workers() -> None:
    members = {name for name in vars(PartitionWorker) if not name.startswith("_")}
    assert members <= {*dir(CountingPartition), "is_restored"}


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka, store = KafkaSettings(), Store(StoreSettings())
    control = ControlLog(kafka)
    await control.start()
    streams = Streams(
        kafka,
        store,
        control,
        StreamsSettings(),
        ProjectSettings(),
        {},
        WebhookSettings(),
        QuarantineSettings(),
        more_stages=[counting_stage],
    )
    await streams.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
