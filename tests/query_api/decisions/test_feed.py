"""The query role follows the topics of the alerting stage, across failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.feeds.alert_states import FEED as ALERT_STATES
from clickhouse.feeds.budget_states import FEED as BUDGET_STATES
from clickhouse.rows import BudgetStateRow
from producers.control.kinds.budget import Budget
from producers.control.periods import period_bounds
from producers.kafka.clients import new_producer
from producers.settings import KafkaSettings
from producers.tiers.book import TierBook
from query_api.decisions import feed as feed_module
from query_api.decisions.book import DecisionBook
from query_api.decisions.call import call_of
from query_api.decisions.decision import Decision
from query_api.decisions.feed import BudgetStateFeed
from query_api.settings import QuerySettings
from streams.alerting import checkpoint
from streams.alerting.checkpoint import Checkpoint
from streams.core.rollups.deltas import partition_of_project
from tests.query_api.harness import ControlInMemory
from tracemill.clock import now_us

DEADLINE_S = 60.0
USD = 10**12


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    return settings


class World:
    """The alerting stage's side of the topics, and a book that follows them."""

    def __init__(self, kafka: KafkaSettings, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.producer = producer
        self.control = ControlInMemory()
        for project_id in ("p", "q"):
            self.control.keep(
                Budget(
                    id=f"budget-{project_id}", project_id=project_id, name="b", period="day",
                    limit_pico=USD, thresholds=("1",), created_us=1, group_by=("user_id",),
                )
            )  # fmt: skip
        self.book = self.new_book()

    def new_book(self) -> DecisionBook:
        return DecisionBook(
            self.control,  # type: ignore[arg-type]
            TierBook(),
            partitions=self.kafka.project_partitions,
            states_max=1_000,
        )

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        settings = QuerySettings(decision_freshness_interval_s=0.02)
        async with BudgetStateFeed(self.kafka, settings, self.book).running():
            yield

    def partition(self, project_id: str) -> int:
        return partition_of_project(project_id, self.kafka.project_partitions)

    async def spend(self, project_id: str, usd: float, user_id: str = "u") -> None:
        start_us, end_us = period_bounds("day", "UTC", now_us())
        row = BudgetStateRow(
            project_id=project_id, budget_id=f"budget-{project_id}", period="day",
            period_start_us=start_us, period_end_us=end_us, group=f'{{"user_id":"{user_id}"}}',
            spent_pico=round(usd * USD), updated_us=now_us(), row_version=1,
        )  # fmt: skip
        await self.producer.send_and_wait(
            BUDGET_STATES.topic_in(self.kafka.topics),
            msgspec.json.encode(row),
            key=f"{row.budget_id}/{user_id}".encode(),
            partition=self.partition(project_id),
        )

    async def delta(self, project_id: str) -> int:
        topic = self.kafka.topics.deltas
        partition = self.partition(project_id)
        return int((await self.producer.send_and_wait(topic, b"{}", partition=partition)).offset)

    async def checkpoint(self, project_id: str, offset: int) -> None:
        await self.producer.send_and_wait(
            ALERT_STATES.topic_in(self.kafka.topics),
            None,
            key=checkpoint.KEY,
            headers=checkpoint.headers_of(Checkpoint(offset)),
            partition=self.partition(project_id),
        )

    def decide(self, project_id: str, user_id: str = "u") -> Decision:
        call = call_of({"user_id": user_id}, {})
        return self.book.decide(project_id, call, 0, now_us())


@pytest.fixture
async def world(kafka: KafkaSettings) -> AsyncIterator[World]:
    producer = new_producer(kafka, batch_bytes=100_000)
    await producer.start()
    yield World(kafka, producer)
    await producer.stop()


async def until(holds: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        held = holds()
        if await held if isinstance(held, Awaitable) else held:
            return
        assert time.monotonic() < deadline_s, "not in time"
        await asyncio.sleep(0.01)


async def test_states_from_before_and_after_the_start_are_known(world: World) -> None:
    await world.spend("p", 0.5)
    await world.spend("p", 1)
    assert not world.book.is_ready
    async with world.following():
        await until(lambda: world.book.is_ready)
        assert world.decide("p").reason == "limit_reached"
        assert world.decide("p", "other").allow
        assert world.decide("q").allow
        await world.spend("q", 2)
        await world.spend("p", 0.2)  # a correction
        await until(lambda: not world.decide("q").allow)
        await until(lambda: world.decide("p").remaining_usd == "0.8")


async def test_spend_is_current_once_the_stage_has_evaluated_everything(world: World) -> None:
    async with world.following():
        await until(lambda: world.book.is_ready)
        assert world.decide("p").as_of is not None or await _becomes_current(world, "p")
        offset = await world.delta("p")
        sent_us = now_us()
        other = next(each for each in "abcdefgh" if world.partition(each) != world.partition("p"))
        await until(lambda: _as_of(world, other) > sent_us)
        assert _as_of(world, "p") <= sent_us, "the delta is not evaluated yet"
        await world.spend("p", 1)
        await world.checkpoint("p", offset)
        await until(lambda: _as_of(world, "p") > sent_us)
        assert not world.decide("p").allow, "the states before the checkpoint are known"


async def _becomes_current(world: World, project_id: str) -> bool:
    await until(lambda: world.decide(project_id).as_of is not None)
    return True


def _as_of(world: World, project_id: str) -> int:
    freshness = world.book.freshness[world.partition(project_id)]
    return freshness.as_of_us or 0


async def test_after_a_restart_it_is_known_how_current_the_spend_is(world: World) -> None:
    await world.checkpoint("p", await world.delta("p"))
    async with world.following():
        assert await _becomes_current(world, "p")


async def test_after_a_restart_the_same_decisions_are_made(world: World) -> None:
    for number in range(50):
        await world.spend("p", number / 25, f"u{number}")
    denied: list[set[int]] = []
    for _ in range(2):
        world.book = world.new_book()
        async with world.following():
            await until(lambda: world.book.is_ready)
            found = {n for n in range(50) if not world.decide("p", f"u{n}").allow}
            denied.append(found)
    assert denied == [set(range(25, 50))] * 2


async def test_an_unreadable_record_is_skipped(world: World) -> None:
    topic = BUDGET_STATES.topic_in(world.kafka.topics)
    for value in (b"{", None, b"[]"):
        await world.producer.send_and_wait(topic, value, key=b"k", partition=world.partition("p"))
    await world.spend("p", 1)
    async with world.following():
        await until(lambda: world.book.is_ready)
        assert not world.decide("p").allow


def test_checkpoints_have_the_format_of_the_alerting_stage() -> None:
    assert feed_module.CHECKPOINT_KEY == checkpoint.KEY
    assert feed_module.INPUT_OFFSET == checkpoint.INPUT_OFFSET
