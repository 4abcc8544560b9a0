"""The embedded broker: starts, keeps its data through kill -9, refuses what it must not run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.broker_probe import broker_answers
from deploy.embedded.kafka import random_cluster_id
from deploy.local import run_broker
from deploy.supervisor import Process, Supervisor
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.fixtures.engines import READY_WITHIN_S, new_broker, running


async def create_topic(broker: str, name: str) -> None:
    admin = AIOKafkaAdminClient(**client_options(KafkaSettings(broker=broker)))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(broker: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(
        **client_options(KafkaSettings(broker=broker)), acks="all", enable_idempotence=True
    )
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def read_all(broker: str, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(
        **client_options(KafkaSettings(broker=broker)), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while len(values) < end:
            values.append((await consumer.getone()).value)
        return values
    finally:
        await consumer.stop()


async def test_what_was_acknowledged_can_be_read(kafka_broker: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.events"
    await create_topic(kafka_broker, topic)
    await produce(kafka_broker, topic, b"one", b"two")
    assert await read_all(kafka_broker, topic) == [b"one", b"two"]


async def test_a_topic_is_not_created_by_writing_to_it(
    kafka_broker: str, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    producer = AIOKafkaProducer(
        **client_options(KafkaSettings(broker=kafka_broker)), request_timeout_ms=5_000
    )
    try:
        await producer.start()
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{topic_prefix}.misspelt", b"lost")
    finally:
        await producer.stop()


async def test_without_a_broker_there_is_no_answer() -> None:
    assert await broker_answers(KafkaSettings(broker="127.0.0.1:1")) is False


async def test_a_killed_broker_restarts_with_all_acknowledged_records(tmp_path: Path) -> None:
    broker = new_broker(tmp_path / "kafka")
    lines: list[str] = []

    async def is_ready() -> bool:
        return await broker_answers(broker.client_settings())

    supervisor = Supervisor(
        [Process("broker", broker.command(), is_ready=is_ready)],
        log_dir=tmp_path / "logs",
        print_line=lines.append,
    )
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(on_ready=ready.set))
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await ready.wait()
        async with asyncio.timeout(READY_WITHIN_S):
            await create_topic(broker.address, "events")
            await produce(broker.address, "events", b"kept")
        os.kill(supervisor.pids["broker"], signal.SIGKILL)
        async with asyncio.timeout(READY_WITHIN_S):
            while not any(line.startswith("broker is back") for line in lines):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with asyncio.timeout(READY_WITHIN_S):
            assert await read_all(broker.address, "events") == [b"kept"]
    finally:
        supervisor.request_stop()
        await run
    assert (tmp_path / "logs" / "broker.log").read_text().count("Kafka Server started") == 2


def test_a_broker_continues_when_its_ports_have_changed(tmp_path: Path) -> None:
    for values in ([b"kept"], [b"kept", b"more"]):
        broker = new_broker(tmp_path / "kafka")
        with running(broker):
            if len(values) == 1:
                asyncio.run(create_topic(broker.address, "events"))
            asyncio.run(produce(broker.address, "events", values[-1]))
            assert asyncio.run(read_all(broker.address, "events")) == values


def test_an_error_names_the_port_that_is_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_broker(tmp_path, port) == 1
    assert capsys.readouterr().err == (
        f"tracemill broker: port {port} is in use: the embedded broker needs it\n"
    )


def test_a_cluster_id_is_never_parsed_as_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    with_a_dash = uuid.UUID(bytes=b"\xf8" + bytes(15), version=4)
    without = uuid.UUID(bytes=b"\x08" + bytes(15), version=4)
    drawn = iter([with_a_dash, without])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(drawn))
    assert random_cluster_id()[0] == "C"
