"""The sink as a process: its clients, opened and closed in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from clickhouse.sink.loop import Sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.settings import KafkaSettings
from producers.topics import Topics


def sink_group(topics: Topics) -> str:
    """The consumer group whose committed offsets say what the store holds."""
    return f"{topics.prefix}-sink"


async def run_sink(
    kafka: KafkaSettings, store: Store, settings: SinkSettings, stop: asyncio.Event
) -> None:
    """Move rows until ``stop``.

    Raises:
        TooManyRefusals: see ``Sink.run``.
        KafkaConnectionError: no broker answers at start.
    """
    topics = Topics(kafka.topic_prefix)
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka.broker, acks="all", enable_idempotence=True
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.broker,
            group_id=sink_group(topics),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4_000_000,
            fetch_max_bytes=settings.buffer_bytes_max // 2,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=300_000,
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        await Sink(consumer, producer, store, topics, settings).run(stop)
