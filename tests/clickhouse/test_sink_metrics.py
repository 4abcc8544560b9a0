"""The sink's metrics: rows read and written, its lag, and the limits that it reached."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client import REGISTRY

from clickhouse.errors import TooManyRefusals
from clickhouse.sink.batches import Batch
from clickhouse.sink.commits import Commits
from clickhouse.sink.lag import Lag
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from producers.progress import PartitionProgress
from producers.settings import KafkaSettings
from tests.clickhouse.sink_for_tests import DEADLINE_S, count, eventually, observation
from tests.fixtures.sink import sinking
from tests.fixtures.store import StoreAt

BAD = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"no","row_version":1}'


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tracemill_sink_{name}", labels) or 0.0


@contextmanager
def counted(name: str, **labels: str) -> Iterator[list[float]]:
    """By how much a counter grew within the block."""
    before = value(name, **labels)
    grown: list[float] = []
    yield grown
    grown.append(value(name, **labels) - before)


async def test_rows_are_counted_as_they_come_and_as_the_store_takes_them(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    lines = [*(observation(number) for number in range(20)), BAD, observation(20)]
    await producer.send_and_wait(kafka.topics.observations, b"\n".join(lines), partition=0)
    await producer.send_and_wait(kafka.topics.observations, b"", partition=0)
    with (
        counted("rows_read_total", table="observations") as came,
        counted("rows_written_total", table="observations") as written,
    ):
        async with sinking(kafka, clickhouse_store):

            async def stored() -> bool:
                return await count(clickhouse_store) == 21

            await eventually(stored)
    assert (came, written) == ([22.0], [21.0])


async def test_while_the_store_does_not_answer_the_lag_grows(
    kafka: KafkaSettings, producer: AIOKafkaProducer, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    store = store_at(port)
    topic = f"{kafka.topics.observations}/1"
    settings = SinkSettings(stop_timeout_s=0.2)
    with counted("limit_reached_total", limit="stop_timeout_s") as gave_up:
        async with sinking(kafka, store, settings):
            await producer.send_and_wait(kafka.topics.observations, observation(1), partition=1)

            async def one_behind() -> bool:
                return value("lag_records", topic=topic) == 1

            await eventually(one_behind)
            for number in (2, 3):
                await producer.send_and_wait(
                    kafka.topics.observations, observation(number), partition=1
                )

            async def all_behind() -> bool:
                old = value("lag_seconds", table="observations") > 1.5
                return old and value("lag_records", topic=topic) == 3

            await eventually(all_behind)
    assert gave_up == [1.0]


async def test_the_lag_is_zero_when_all_is_stored(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    topic = f"{kafka.topics.observations}/0"
    await producer.send_and_wait(kafka.topics.observations, observation(1), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def told() -> bool:
            return (
                await count(clickhouse_store) == 1
                and REGISTRY.get_sample_value("tracemill_sink_lag_records", {"topic": topic}) == 0
                and value("lag_seconds", table="observations") == 0
            )

        await eventually(told)


async def test_a_batch_that_is_full_is_counted(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    settings = SinkSettings(batch_bytes_max=1_000, flush_interval_s=10, flush_interval_max_s=10)
    lines = b"\n".join(observation(number) for number in range(50))
    await producer.send_and_wait(kafka.topics.observations, lines, partition=0)
    with counted("limit_reached_total", limit="batch_bytes_max") as full:
        async with sinking(kafka, clickhouse_store, settings):

            async def stored() -> bool:
                return await count(clickhouse_store) == 50

            await eventually(stored)
    assert full == [1.0]


async def test_the_limit_of_refused_rows_is_counted(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait(kafka.topics.observations, b"\n".join([BAD] * 20), partition=0)
    settings = SinkSettings(refused_rows_consecutive_max=10)
    with (
        counted("limit_reached_total", limit="refused_rows_consecutive_max") as stopped,
        pytest.raises(TooManyRefusals),
    ):
        await asyncio.wait_for(
            run_sink(kafka, clickhouse_store, settings, asyncio.Event()), DEADLINE_S
        )
    assert stopped == [1.0]


async def test_rows_that_arrive_together_are_fetched_together(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    async with sinking(kafka, clickhouse_store, SinkSettings(fetch_interval_s=1)):

        async def send(*numbers: int) -> None:
            for number in numbers:
                await producer.send_and_wait(
                    kafka.topics.observations, observation(number), partition=number % 4
                )

            async def stored() -> bool:
                return await count(clickhouse_store) == numbers[-1] + 1

            await eventually(stored)

        await send(0)  # from here on it fetches
        started_s = time.monotonic()
        with counted("fetches_total") as fetches:
            await send(*range(1, 31))
        elapsed_s = time.monotonic() - started_s
    assert 0 < fetches[0] < elapsed_s + 2


class Broker:
    """A consumer whose broker may be away."""

    def __init__(self, *partitions: TopicPartition) -> None:
        self.partitions = set(partitions)
        self.committed: dict[TopicPartition, int] = {}
        self.is_away = False

    def assignment(self) -> set[TopicPartition]:
        return self.partitions

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.is_away:
            raise KafkaConnectionError
        self.committed.update(offsets)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.is_away:
            raise KafkaConnectionError
        return dict.fromkeys(partitions, 9)

    async def position(self, _: TopicPartition) -> int:
        return 7


async def test_a_failed_commit_is_retried_without_another_row() -> None:
    partition, lost = TopicPartition("rows", 0), TopicPartition("rows", 1)
    broker = Broker(partition)
    commits: Any = Commits(broker)
    commits.add({partition: 5, lost: 3})
    broker.is_away = True
    await commits.commit()
    assert broker.committed == {}
    broker.is_away = False
    await commits.commit()
    assert broker.committed == {partition: 5}


def lag_of(broker: Broker, filling: Batch, *, writing: set[str] | None = None) -> Lag:
    return Lag(
        broker,
        ["observations"],
        lambda _: [filling],
        (writing or set()).__contains__,
        {"rows-of-nobody": "observations"},
        0.5,
    )


async def test_work_shows_the_first_row_that_is_not_stored_and_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partition = TopicPartition("rows-of-nobody", 0)
    broker, filling, writing = Broker(partition), Batch(), set[str]()
    lag = lag_of(broker, filling, writing=writing)
    writing_lag = lag_of(broker, filling, writing={"observations"})
    assert lag.work() == []
    filling.first_offsets[partition] = 4
    await lag.report()
    await writing_lag.report()
    place = ("sink", "rows-of-nobody", 0, 4)
    assert lag.work() == [PartitionProgress(*place, has_input=True)]
    assert writing_lag.work() == [PartitionProgress(*place, has_input=True, waits_for="the store")]
    broker.is_away = True
    await lag.report()
    assert lag.work() == [PartitionProgress(*place, has_input=True, waits_for="the broker")]
    monkeypatch.setattr("clickhouse.sink.lag.UNMEASURED_MAX_S", -1)
    assert lag.work() == [PartitionProgress(*place, has_input=True)], "the sink's own loop hangs"


async def test_the_lag_is_unknown_while_the_broker_is_down() -> None:
    partition = TopicPartition("rows-of-nobody", 0)
    broker, filling = Broker(partition), Batch()
    lag = lag_of(broker, filling)

    def behind() -> float | None:
        return REGISTRY.get_sample_value(
            "tracemill_sink_lag_records", {"topic": "rows-of-nobody/0"}
        )

    await lag.report()
    assert behind() == 2
    filling.first_offsets[partition] = 4
    await lag.report()
    assert behind() == 5
    broker.is_away = True
    await lag.report()
    assert math.isnan(behind() or 0.0)
    broker.partitions = set()
    await lag.report()
    assert behind() is None
