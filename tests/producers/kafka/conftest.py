"""Logs on a broker of their own, which may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka import TopicPartition

from producers.kafka.clients import new_producer, stopped
from producers.settings import KafkaSettings
from tests.producers.kafka.logs_for_tests import Broker, Log


@pytest.fixture(scope="session")
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
