"""A gateway on a real broker, spoken to over ASGI."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY

from clickhouse.all_topics import ensure_topics
from producers.control.bootstrap import bootstrap
from producers.control.log import ControlLog
from producers.gateway.app import Gateway, create_gateway
from producers.kafka.clients import client_options
from producers.settings import GatewaySettings, InitSettings, KafkaSettings
from tests.fixtures.control_log import following
from tracemill.contract import Event, decode_event

KEYS = ("pk-tm-dev", "sk-tm-dev")
DELIVERY_TIMEOUT_S = 30
"""A long timeout, because the default suits exporters, not slow test machines."""


@pytest.fixture(scope="session")
def gateway_prefix() -> str:
    """The topics of all these tests, because hundreds of sets are too much for a small broker."""
    return f"test-gateway-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def kafka(kafka_broker: str, gateway_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=gateway_prefix)
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as log:
        await bootstrap(log, InitSettings())
        yield log


@pytest.fixture
def gateway_settings() -> GatewaySettings:
    return GatewaySettings(delivery_timeout_s=DELIVERY_TIMEOUT_S)


@pytest.fixture
async def gateway(
    kafka: KafkaSettings, gateway_settings: GatewaySettings, control: ControlLog
) -> AsyncIterator[Gateway]:
    app = create_gateway(kafka, gateway_settings, control)
    async with app.running():
        yield app


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(gateway)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", auth=KEYS
    ) as http_client:
        yield http_client


def times_reached(limit: str) -> float:
    """What ``/metrics`` says of a limit."""
    name = "tracemill_producers_limit_reached_total"
    return REGISTRY.get_sample_value(name, {"limit": limit}) or 0.0


class Log:
    """What was written to the topics since ``begin``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._begin: dict[TopicPartition, int] = {}

    async def begin(self) -> None:
        """Leave out what is there already."""
        topics = self._kafka.topics
        partitions = [
            TopicPartition(topics.events, number) for number in range(self._kafka.event_partitions)
        ]
        async with self._consumer(
            [*partitions, TopicPartition(topics.dead_letters, 0)]
        ) as consumer:
            self._begin = await consumer.end_offsets(consumer.assignment())

    @asynccontextmanager
    async def _consumer(self, partitions: list[TopicPartition]) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(**client_options(self._kafka), enable_auto_commit=False)
        try:
            await consumer.start()
            consumer.assign(partitions)
            yield consumer
        finally:
            await consumer.stop()

    async def records(self, topic: str, partition_count: int) -> list[list[bytes]]:
        """Values of every partition, up to its present end."""
        partitions = [TopicPartition(topic, number) for number in range(partition_count)]
        async with self._consumer(partitions) as consumer:
            for key in partitions:
                consumer.seek(key, self._begin.get(key, 0))
            ends = await consumer.end_offsets(partitions)
            values: dict[TopicPartition, list[bytes]] = {key: [] for key in partitions}
            while any([await consumer.position(key) < ends[key] for key in partitions]):
                for key, messages in (await consumer.getmany(timeout_ms=100)).items():
                    values[key] += [message.value for message in messages]
            return [values[key] for key in partitions]

    async def events(self) -> list[Event]:
        return [
            decode_event(line)
            for partition in await self.records(
                self._kafka.topics.events, self._kafka.event_partitions
            )
            for value in partition
            for line in value.split(b"\n")
        ]

    async def dead_letters(self) -> list[dict[str, object]]:
        return [
            msgspec.json.decode(line)
            for partition in await self.records(self._kafka.topics.dead_letters, 1)
            for value in partition
            for line in value.split(b"\n")
        ]


@pytest.fixture
async def log(kafka: KafkaSettings) -> Log:
    fresh = Log(kafka)
    await fresh.begin()
    return fresh
