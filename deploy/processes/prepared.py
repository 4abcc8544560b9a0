"""Waiting for what a role needs: roles may be started in any order, and beside their engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from clickhouse import migrate as schema
from clickhouse.all_topics import topic_shapes
from clickhouse.errors import StoreUnavailable
from clickhouse.store import Store
from deploy.broker_probe import broker_trouble, topics_of
from deploy.errors import NotPreparedError
from deploy.processes.log_check import refuse_lost_log
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings

LOOK_EVERY_S: Final = 0.1
SAID_AFTER_S: Final = 5.0
SAID_EVERY_S: Final = 30.0
GROUPS_TOPIC: Final = "__consumer_offsets"
"""Kafka's own: without it there are no consumer groups."""

log = structlog.get_logger(__name__)

Lack = str | None
"""What is missing, in words; None when nothing is."""


async def until_prepared(
    process: ProcessSettings, kafka: KafkaSettings, store: Store | None, stop: asyncio.Event
) -> bool:
    """Wait until ``tracemill migrate`` has run; false if ``stop`` was set first.

    A role without ``store`` waits for the topics only, one with it also for the tables.

    Raises:
        NotPreparedError: not within ``prepared_within_s``.
        MigrationError: the tables are of another version.
        LogLostError: the log is not the one that the store was filled from.
    """
    has_topics = await _until_nothing_lacks(process, lambda: _missing_topics(kafka), stop)
    if not has_topics or store is None:
        return has_topics
    has_tables = await _until_nothing_lacks(process, lambda: _missing_tables(store), stop)
    if has_tables:
        await refuse_lost_log(kafka, store)
    return has_tables


async def until_engines_answer(
    process: ProcessSettings, kafka: KafkaSettings, store: Store, stop: asyncio.Event
) -> bool:
    """Wait until the broker and the store take requests; false if ``stop`` came first.

    Raises:
        NotPreparedError: not within ``prepared_within_s``.
    """
    return await _until_nothing_lacks(
        process, lambda: _silent_broker(kafka), stop
    ) and await _until_nothing_lacks(process, lambda: _silent_store(store), stop)


async def _until_nothing_lacks(
    process: ProcessSettings, look: Callable[[], Awaitable[Lack]], stop: asyncio.Event
) -> bool:
    now_s = asyncio.get_running_loop().time
    begun_s, next_word_s = now_s(), now_s() + SAID_AFTER_S
    while (lack := await look()) is not None:
        if stop.is_set():
            return False
        waited_s = now_s() - begun_s
        if waited_s > process.prepared_within_s:
            raise NotPreparedError(lack)
        if now_s() > next_word_s:
            next_word_s += SAID_EVERY_S
            log.info(
                "waiting",
                lack=lack,
                waited_s=round(waited_s),
                prepared_within_s=process.prepared_within_s,
            )
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def _silent_broker(kafka: KafkaSettings) -> Lack:
    reason = await broker_trouble(kafka)
    return None if reason is None else _no_broker(kafka, reason)


def _no_broker(kafka: KafkaSettings, reason: str | None) -> str:
    because = f": {reason}" if reason else ""
    return f"no Kafka broker answers at {kafka.broker}{because}"


async def _missing_topics(kafka: KafkaSettings) -> Lack:
    existing = await topics_of(kafka)
    if existing is None:
        return _no_broker(kafka, await broker_trouble(kafka))
    wanted = {shape.name for shape in topic_shapes(kafka)}
    missing = [*sorted(wanted - existing), *({GROUPS_TOPIC} - existing)]
    return f"topic {missing[0]} does not exist: run `tracemill migrate`" if missing else None


async def _missing_tables(store: Store) -> Lack:
    try:
        pending = await schema.pending(store)
    except StoreUnavailable as error:
        return f"the store does not answer: {error}"
    return f"migration {pending[0]:04} is not applied: run `tracemill migrate`" if pending else None


async def _silent_store(store: Store) -> Lack:
    try:
        await store.ping()
    except StoreUnavailable as error:
        return f"the store does not answer: {error}"
    return None
