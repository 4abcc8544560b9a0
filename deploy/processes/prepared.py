"""Wait for the dependencies of a role, so that roles and engines can be started in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from clickhouse import migrate as schema
from clickhouse.all_topics import topic_shapes
from clickhouse.errors import StoreUnavailable
from clickhouse.store import Store
from deploy.broker_probe import topics_of, why_broker_unusable
from deploy.errors import NotPreparedError
from deploy.processes.log_check import refuse_lost_log
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings

CHECK_INTERVAL_S: Final = 0.1
STORE_CHECK_INTERVAL_S: Final = 1.0
STORE_ANSWER_S: Final = 5.0
"""Time after which a store that does not answer is not waited for."""
LOG_AFTER_S: Final = 5.0
LOG_INTERVAL_S: Final = 30.0
GROUPS_TOPIC: Final = "__consumer_offsets"
"""Kafka's internal topic, without which consumer groups do not work."""

log = structlog.get_logger(__name__)

Missing = str | None
"""A description of the missing dependency; None if none is missing."""


async def until_prepared(
    process: ProcessSettings, kafka: KafkaSettings, store: Store | None, stop: asyncio.Event
) -> bool:
    """Wait until ``tracemill migrate`` has run; return false if ``stop`` was set first.

    It waits for the topics, and with ``store`` also for the tables.

    Raises:
        NotPreparedError: topics or tables are still missing after ``prepared_within_s``.
        MigrationError: the tables belong to another version.
        LogLostError: the log is not the one that the store was filled from.
    """
    has_topics = await _wait_until_present(process, lambda: _missing_topics(kafka), stop)
    if not has_topics or store is None:
        return has_topics
    has_tables = await _wait_until_present(process, lambda: _missing_tables(store), stop)
    if has_tables:
        await refuse_lost_log(kafka, store)
    return has_tables


async def run_without_store(
    process: ProcessSettings,
    kafka: KafkaSettings,
    store: Store,
    stop: asyncio.Event,
    run: Callable[[], Awaitable[None]],
) -> None:
    """Wait until ``tracemill migrate`` has run, then run a role that can begin without the store.

    If the store does not answer, the role begins, and the store is checked as soon as it answers.

    Raises:
        NotPreparedError, MigrationError, LogLostError: like ``until_prepared``.
    """
    if not await until_prepared(process, kafka, None, stop):
        return
    checking = asyncio.create_task(_check_store(process, kafka, store, stop))
    try:
        if await _answers(store):
            await checking
        else:
            log.warning("store_does_not_answer", effect="it is checked when it answers")
        if not stop.is_set():
            await _first_failure(asyncio.ensure_future(run()), checking)
    finally:
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)


async def _first_failure(running: asyncio.Future[None], checking: asyncio.Future[None]) -> None:
    """Wait until the role ends; end it if the check fails."""
    try:
        await asyncio.wait([running, checking], return_when=asyncio.FIRST_COMPLETED)
        if checking.done():
            checking.result()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _check_store(
    process: ProcessSettings, kafka: KafkaSettings, store: Store, stop: asyncio.Event
) -> None:
    """Check the tables, and that the log is the one that the store was filled from."""
    while not stop.is_set():
        if await _answers(store):
            try:
                if await _wait_until_present(process, lambda: _missing_tables(store), stop):
                    await refuse_lost_log(kafka, store)
            except StoreUnavailable as error:
                log.warning("store_unavailable", reason=str(error))
            else:
                return
        await asyncio.sleep(STORE_CHECK_INTERVAL_S)


async def _answers(store: Store) -> bool:
    try:
        async with asyncio.timeout(STORE_ANSWER_S):
            await store.ping()
    except (StoreUnavailable, TimeoutError):
        return False
    return True


async def until_engines_respond(
    process: ProcessSettings, kafka: KafkaSettings, store: Store, stop: asyncio.Event
) -> bool:
    """Wait until the broker and the store respond; return false if ``stop`` was set first.

    Raises:
        NotPreparedError: an engine does not respond within ``prepared_within_s``.
    """
    return await _wait_until_present(
        process, lambda: _unreachable_broker(kafka), stop
    ) and await _wait_until_present(process, lambda: _unreachable_store(store), stop)


async def _wait_until_present(
    process: ProcessSettings, check: Callable[[], Awaitable[Missing]], stop: asyncio.Event
) -> bool:
    now_s = asyncio.get_running_loop().time
    started_s, next_log_s = now_s(), now_s() + LOG_AFTER_S
    while (missing := await check()) is not None:
        if stop.is_set():
            return False
        waited_s = now_s() - started_s
        if waited_s > process.prepared_within_s:
            raise NotPreparedError(missing)
        if now_s() > next_log_s:
            next_log_s += LOG_INTERVAL_S
            log.info(
                "waiting",
                missing=missing,
                waited_s=round(waited_s),
                prepared_within_s=process.prepared_within_s,
            )
        await asyncio.sleep(CHECK_INTERVAL_S)
    return True


async def _unreachable_broker(kafka: KafkaSettings) -> Missing:
    reason = await why_broker_unusable(kafka)
    return None if reason is None else _no_broker(kafka, reason)


def _no_broker(kafka: KafkaSettings, reason: str | None) -> str:
    because = f": {reason}" if reason else ""
    return f"no Kafka broker answers at {kafka.broker}{because}"


async def _missing_topics(kafka: KafkaSettings) -> Missing:
    existing = await topics_of(kafka)
    if existing is None:
        return _no_broker(kafka, await why_broker_unusable(kafka))
    wanted = {shape.name for shape in topic_shapes(kafka)}
    missing = [*sorted(wanted - existing), *({GROUPS_TOPIC} - existing)]
    return f"topic {missing[0]} does not exist: run `tracemill migrate`" if missing else None


async def _missing_tables(store: Store) -> Missing:
    try:
        pending = await schema.pending(store)
    except StoreUnavailable as error:
        return f"the store does not answer: {error}"
    return f"migration {pending[0]:04} is not applied: run `tracemill migrate`" if pending else None


async def _unreachable_store(store: Store) -> Missing:
    try:
        await store.ping()
    except StoreUnavailable as error:
        return f"the store does not answer: {error}"
    return None
