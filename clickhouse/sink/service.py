"""Run the sink with its clients, which are opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, TopicPartition

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from clickhouse.levels.rollups import Rollups
from clickhouse.levels.settings import LevelSettings
from clickhouse.sink.loop import Sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.control.deleted_projects import DeletedProjects
from producers.control.secret_box import SecretBox
from producers.kafka.clients import new_admin, new_consumer, new_producer, started
from producers.kafka.topics import Topics
from producers.progress import ProgressBoard
from producers.settings import KafkaSettings


async def run_sink(
    kafka: KafkaSettings,
    store: Store,
    settings: SinkSettings,
    stop: asyncio.Event,
    secrets: SecretBox | None = None,
    board: ProgressBoard | None = None,
    feeds: Sequence[Feed] = FEEDS,
    levels: LevelSettings | None = None,
) -> None:
    """Insert rows, and recompute levels of windows, until ``stop`` is set.

    ``secrets`` encrypts secrets of the control log; without it they are redacted. ``board`` is
    updated with the position of each partition.

    Raises:
        TooManyRefusals: see ``Sink.run``.
        BrokerUnavailableError: no broker responded within ``broker_wait_s``.
    """
    topics = kafka.topics
    async with AsyncExitStack() as stack:
        producer = await started(
            lambda: new_producer(kafka, batch_bytes=kafka.record_max_bytes), kafka
        )
        stack.push_async_callback(producer.stop)
        consumer = await started(lambda: _new_consumer(kafka, topics, settings), kafka)
        stack.push_async_callback(consumer.stop)
        admin = await started(lambda: new_admin(kafka), kafka)
        stack.push_async_callback(admin.stop)
        deleted = DeletedProjects(kafka)
        stack.push_async_callback(deleted.stop)
        await deleted.start()
        sink = Sink(consumer, producer, store, kafka, settings, admin, secrets, feeds, deleted)
        if board is not None:
            board.source = sink.lag.work
        control = TopicPartition(topics.control, 0)
        rollups = Rollups(
            store,
            levels or LevelSettings(),
            deleted,
            insert_max_s=store.settings.clickhouse_insert_timeout_s,
            # Only one sink has this partition. If two recompute the same, nothing is wrong.
            is_owner=lambda: control in consumer.assignment(),
        )
        async with _recomputing(rollups, stop):
            await sink.run(stop)


@asynccontextmanager
async def _recomputing(rollups: Rollups, stop: asyncio.Event) -> AsyncIterator[None]:
    """Recompute levels while the block runs; a running statement is abandoned at its end."""
    task = asyncio.create_task(rollups.run(stop))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _new_consumer(kafka: KafkaSettings, topics: Topics, settings: SinkSettings) -> AIOKafkaConsumer:
    return new_consumer(
        kafka,
        group_id=topics.sink_group,
        auto_offset_reset="earliest",
        # Records of uncommitted transactions of the control log must not be stored.
        isolation_level="read_committed",
        fetch_max_wait_ms=int(settings.fetch_wait_max_s * 1000),
        max_partition_fetch_bytes=settings.fetch_partition_bytes_max,
        fetch_max_bytes=settings.buffer_bytes_max // 2,
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 6),
    )
