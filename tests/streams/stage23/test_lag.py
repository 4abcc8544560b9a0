"""Lag metrics of partitions that progress or stall."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from random import Random

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry, Gauge

from producers.progress import PartitionProgress
from streams.core.pricing.valuation import NoTokens
from streams.core.rollups.deltas import Delta, partition_of_project
from streams.observations.partition import PartitionStage
from streams.observations.settings import StreamsSettings
from streams.runtime.lag import Backlog, Lag, LagWatch, Position, Watched, watch
from streams.runtime.partition_worker import SourceMessage
from tests.simulation.stage1_world import PARTITION, TOPICS, FlatPrices, World


class Shown:
    """Gauges of their own."""

    def __init__(self, partition: TopicPartition, backlog: Backlog) -> None:
        registry = CollectorRegistry()
        records = Gauge("records", "", ["partition"], registry=registry)
        seconds = Gauge("seconds", "", ["partition"], registry=registry)
        self.watched = Watched(partition, backlog.lag, records, seconds)
        self._registry = registry

    def of(self, name: str) -> float | None:
        labels = {"partition": str(self.watched.partition.partition)}
        return self._registry.get_sample_value(name, labels)


def test_lag_is_the_distance_to_the_end_of_the_log_and_the_age_of_the_oldest_pending_record():
    backlog = Backlog()
    backlog.done(10)
    for offset in (10, 11, 12):
        backlog.received(offset, 100.0 + offset)
    assert backlog.lag(20, 130.0) == Lag(10, 20.0)
    backlog.done(12)
    assert backlog.lag(None, 130.0) == Lag(8, 18.0)
    backlog.done(20)
    assert backlog.lag(20, 131.0) == Lag(0, 0.0)


def test_records_that_were_not_received_age_from_when_they_were_noticed():
    backlog = Backlog()
    backlog.done(10)
    assert backlog.lag(10, 50.0) == Lag(0, 0.0)
    assert [backlog.lag(12, now_s) for now_s in (51.0, 54.0)] == [Lag(2, 0.0), Lag(2, 3.0)]


def test_records_that_come_again_are_counted_once():
    backlog = Backlog()
    backlog.done(3)
    for offset in (3, 9, 4, 5, 9):
        backlog.received(offset, float(offset))
    backlog.done(9)
    assert backlog.lag(None, 10.0) == Lag(1, 1.0)


async def test_the_lag_of_a_partition_whose_output_stalls_grows():
    class Deaf(World):
        """Acknowledges nothing once it is deaf."""

        is_deaf = False

        async def send(self, topic, partition, value, headers=()):
            if self.is_deaf:
                return asyncio.get_running_loop().create_future()
            sent = await super().send(topic, partition, value, headers)
            self.deliver_one()
            return sent

    world = Deaf(Random(1))
    world.seen_traces_max = 1
    stage = PartitionStage(
        PARTITION, TOPICS, 2, StreamsSettings(), world, world, FlatPrices(), NoTokens()
    )
    running = asyncio.create_task(stage.run())
    await stage.restored.wait()
    world.is_deaf = True
    for offset in range(3):
        await stage.put(SourceMessage(offset, 5_000_000 + offset, b"", lambda: None))
    assert [stage.lag(5, now_s) for now_s in (6.0, 66.0)] == [Lag(5, 1.0), Lag(5, 61.0)]
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_without_an_answer_the_reported_age_grows_and_revoked_partitions_are_removed(until):
    backlog = Backlog()
    backlog.done(0)
    backlog.received(0, 0.0)
    shown = Shown(TopicPartition("t", 3), backlog)
    watched = [shown.watched]

    async def ends(partitions):
        raise KafkaConnectionError

    watching = asyncio.create_task(watch(ends, lambda: watched, every_s=0.01))

    async def seconds():
        return shown.of("seconds")

    first = await until(seconds)

    async def older():
        return shown.of("seconds") > first

    await until(older)
    assert shown.of("records") == 1
    watched.clear()

    async def hidden():
        return shown.of("records") is None

    await until(hidden)
    watching.cancel()


async def test_the_end_of_the_log_is_read_from_the_broker(pipeline, until):
    deltas = pipeline.kafka.topics.deltas
    partitions = [TopicPartition(deltas, n) for n in range(pipeline.kafka.project_partitions)]
    backlogs = [Backlog() for _ in partitions]
    shown = [Shown(*each) for each in zip(partitions, backlogs, strict=True)]
    for backlog in backlogs:
        backlog.done(0)
    watch = LagWatch(pipeline.kafka, lambda: [each.watched for each in shown])
    try:
        await watch.start()
        for offset in range(3):
            await pipeline.send(Delta("p1", 0, offset, [], []))

        async def three():
            return sorted(each.of("records") or 0 for each in shown) == [0, 3]

        await until(three)
    finally:
        await watch.stop()


async def test_work_shows_the_position_of_a_partition_and_what_it_waits_for(pipeline, until):
    deltas = pipeline.kafka.topics.deltas
    number = partition_of_project("p1", pipeline.kafka.project_partitions)
    partition = TopicPartition(deltas, number)
    position = Position(None, 0)
    watched = dataclasses.replace(Shown(partition, Backlog()).watched, position=lambda: position)
    watch = LagWatch(pipeline.kafka, lambda: [watched])

    def at(offset: int, *, has_input: bool, waits_for: str = "") -> list[PartitionProgress]:
        return [
            PartitionProgress("streams", deltas, partition.partition, offset, has_input, waits_for)
        ]

    async def becomes(expected: list[PartitionProgress]) -> None:
        async def shown() -> bool:
            return watch.work() == expected

        await until(shown)

    try:
        assert watch.work() == at(0, has_input=False, waits_for="its earlier output")
        position = Position(0, 0)
        assert watch.work() == at(0, has_input=False, waits_for="the broker")
        await watch.start()
        await becomes(at(0, has_input=False))
        await pipeline.send(Delta("p1", 0, 0, [], []))
        await becomes(at(0, has_input=True))
        position = Position(0, 1, "the store")
        await becomes(at(0, has_input=True, waits_for="the store"))
        position = Position(1, 1)
        await becomes(at(1, has_input=False))
    finally:
        await watch.stop()
