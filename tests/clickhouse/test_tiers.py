"""Users' tiers: every process follows them, the store has a copy, and a new log gets them back."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from clickhouse.store import Store
from deploy.recovery.tiers import restore_tiers
from producers.errors import ControlLimitError, ControlUnavailableError
from producers.settings import KafkaSettings
from producers.tiers.log import TierLog
from producers.tiers.record import TIERS, Tier
from tests.clickhouse.sink_for_tests import eventually
from tests.fixtures.control_log import following_tiers
from tests.fixtures.sink import sinking

FIRST = [Tier("p", "a/b", "free"), Tier("p", "ü", "pro"), Tier("q", "a/b", "pro")]


async def test_a_write_is_read_back_and_reaches_other_processes(kafka: KafkaSettings) -> None:
    async with following_tiers(kafka) as writer, following_tiers(kafka) as other:
        changes: list[Tier] = []
        other.subscribe(changes.append)
        await writer.write(FIRST, per_project_max=10)
        assert writer.book.in_project("p") == {"a/b": "free", "ü": "pro"}
        await writer.write([Tier("p", "ü", ""), Tier("p", "ü", "")], per_project_max=10)
        assert writer.book.in_project("p") == {"a/b": "free"}

        async def has_changed() -> bool:
            return changes == [*FIRST, Tier("p", "ü", "")]

        await eventually(has_changed)
    async with following_tiers(kafka) as restarted:
        assert restarted.book.tier_of("p", "a/b") == "free"
        assert restarted.book.tier_of("q", "a/b") == "pro"
        assert len(restarted.book) == 2


async def test_an_unreadable_record_is_skipped(
    kafka: KafkaSettings, producer: AIOKafkaProducer
) -> None:
    topic = kafka.topics.of(TIERS)
    await producer.send_and_wait(topic, b"{}", key=b"p/u", partition=0)
    await producer.send_and_wait(topic, b'{"tier":"pro"}', key=b"p/v", partition=0)
    async with following_tiers(kafka) as log:
        assert log.book.in_project("p") == {"v": "pro"}


async def test_tiers_are_limited_per_project_and_in_total_but_existing_ones_can_change(
    kafka: KafkaSettings,
) -> None:
    kafka = kafka.model_copy(update={"tiers_max": 3})
    async with following_tiers(kafka) as log:
        await log.write(FIRST, per_project_max=2)
        with pytest.raises(ControlLimitError, match="tiers_per_project_max"):
            await log.write([Tier("p", "new", "free")], per_project_max=2)
        with pytest.raises(ControlLimitError, match="tiers_max"):
            await log.write([Tier("q", "new", "free")], per_project_max=2)
        await log.write([Tier("p", "ü", "free")], per_project_max=2)
        await log.write([Tier("p", "ü", "")], per_project_max=2)
        await log.write([Tier("p", "new", "free")], per_project_max=2)
        assert log.book.in_project("p") == {"a/b": "free", "new": "free"}


async def test_concurrent_writes_respect_the_limit(kafka: KafkaSettings) -> None:
    async with following_tiers(kafka) as log:
        outcomes = await asyncio.gather(
            *(log.write([Tier("p", f"u{n % 8}", "free")], per_project_max=5) for n in range(16)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, ControlLimitError) for each in outcomes) == 6
        assert len(log.book) == 5


async def test_a_nearly_full_disk_refuses_writes(kafka: KafkaSettings) -> None:
    class Full:
        def reason(self) -> str:
            return "the disk is nearly full"

    log = TierLog(kafka, Full())  # type: ignore[arg-type]
    with pytest.raises(ControlUnavailableError, match="nearly full"):
        await log.write(FIRST, per_project_max=10)


async def test_the_store_has_a_copy_that_restores_a_new_log(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    async with following_tiers(kafka) as log, sinking(kafka, clickhouse_store):
        await log.write(FIRST, per_project_max=10)
        await log.write([Tier("q", "a/b", "")], per_project_max=10)
        await log.write([Tier("p", "ü", "free")], per_project_max=10)

        async def all_stored() -> bool:
            rows = await clickhouse_store.query(
                "SELECT project_id, user_id, tier FROM tiers FINAL ORDER BY ALL"
            )
            found = [tuple(row.values()) for row in rows]
            return found == [("p", "a/b", "free"), ("p", "ü", "free"), ("q", "a/b", "")]

        await eventually(all_stored)
    new = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}-new"})
    await ensure_topics(new)
    assert await restore_tiers(producer, new.topics, clickhouse_store) == 2
    async with following_tiers(new) as log:
        assert log.book.in_project("p") == {"a/b": "free", "ü": "free"}
        assert len(log.book) == 2
