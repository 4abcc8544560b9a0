"""A worker that was suspended for longer than its session writes nothing after it resumes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from random import Random

import pytest

from clickhouse.all_topics import ensure_topics
from clickhouse.store import Store
from producers.kafka.clients import new_admin, started
from producers.settings import KafkaSettings
from tests.fixtures.sink import sinking
from tests.fixtures.suspended import suspend
from tests.integration.test_stage1_survives_kills import (
    STOPPED_WITHIN_S,
    StartWorker,
    deltas_of,
    kafka,
    produce,
    set_prices,
    start_worker,
    until_ready,
    until_stored,
)
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.stage1_events import random_events

__all__ = ["kafka", "start_worker"]

EVENTS = 600

TAKEN_OVER_WITHIN_S = 60.0
POLL_S = 0.1


async def until_alone(kafka: KafkaSettings) -> None:
    """Wait until the group of the streams has one member left."""
    admin = await started(lambda: new_admin(kafka), kafka)
    try:
        async with asyncio.timeout(TAKEN_OVER_WITHIN_S):
            while True:
                (response,) = await admin.describe_consumer_groups([kafka.topics.streams_group])
                _, _, state, _, _, members, *_ = response.groups[0]
                if state == "Stable" and len(members) == 1:
                    return
                await asyncio.sleep(POLL_S)
    finally:
        await admin.close()


@pytest.fixture(autouse=True)
def _prices_of_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have one rate for all tokens, so caches save nothing, and name no provider."""
    monkeypatch.setattr(oracle, "SAVED_PER_CACHED", 0)
    monkeypatch.setattr(oracle, "provider_of", lambda _model: "")


async def test_totals_are_exact_when_a_stopped_worker_goes_on_behind_its_successor(
    kafka: KafkaSettings,  # a fixture
    clickhouse_store: Store,
    start_worker: StartWorker,
) -> None:
    chance = Random(2027)
    await ensure_topics(kafka)
    await set_prices(kafka)
    events = random_events(chance, EVENTS, traces=40)
    first_part, rest = events[: EVENTS // 2], events[EVENTS // 2 :]
    async with sinking(kafka, clickhouse_store):
        first, port = start_worker()
        await until_ready(first, port)
        second, port = start_worker()
        await until_ready(second, port)  # they share the partitions now
        producing = asyncio.create_task(produce(kafka, [*first_part, *first_part], chance))
        await asyncio.sleep(chance.uniform(0.3, 1.0))  # somewhere in the middle
        suspend(first.pid)
        try:
            await producing
            # The session of the first is over: the second has all partitions.
            await until_alone(kafka)
            await until_stored(kafka, clickhouse_store, first_part)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first.pid, signal.SIGCONT)
        await produce(kafka, rest, chance)
        assert await asyncio.to_thread(first.wait, STOPPED_WITHIN_S) != 0
        await until_stored(kafka, clickhouse_store, events)
    windows, spend = applied(await deltas_of(kafka))
    assert windows == oracle.windows_of(events)
    assert spend == oracle.spend_of(events)
