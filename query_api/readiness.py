"""Whether an event sent now would be stored and read, and if not, what is missing.

A check is a name and a probe; a probe returns None when all is well, else one line that says what is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from clickhouse.errors import MigrationError, StoreError
from clickhouse.migrate import plan
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.kafka import new_admin, new_consumer
from producers.settings import KafkaSettings
from query_api import metrics
from query_api.settings import QuerySettings
from query_api.times import SECOND_US

Probe = Callable[[], Awaitable[str | None]]
OK: Final = "ok"
NOT_OK: Final = "not ready"
LOOK_AGAIN_S: Final = 2.0
"""While something is missing that was there: how often to look, so that the log says when it is back."""
_STABLE: Final = "Stable"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadinessCheck:
    name: str
    probe: Probe


class Readiness:
    """Asks all checks at once, and remembers what they said for a moment, however many ask.

    Changes are logged: that something is missing (a warning once all was there) and that nothing is any more.
    """

    def __init__(self, checks: Sequence[ReadinessCheck], settings: QuerySettings) -> None:
        self._checks = tuple(checks)
        self._cache_s = settings.readiness_cache_s
        self._timeout_s = settings.readiness_timeout_s
        self._asking = asyncio.Lock()
        self._found: dict[str, str] = {}
        self._found_at_s = float("-inf")
        self._missing: set[str] = set()
        self._was_ready = False
        self._watching: asyncio.Task[None] | None = None

    async def look(self) -> Mapping[str, str]:
        """By check: ``ok``, or what is missing."""
        async with self._asking:
            if time.monotonic() - self._found_at_s >= self._cache_s:
                answers = await asyncio.gather(*(self._ask(check) for check in self._checks))
                self._found = {
                    check.name: found for check, found in zip(self._checks, answers, strict=True)
                }
                self._found_at_s = time.monotonic()
                for name, found in self._found.items():
                    metrics.READY.labels(name).set(found == OK)
                self._tell_changes()
            return self._found

    def _tell_changes(self) -> None:
        lacks = {name: found for name, found in self._found.items() if found != OK}
        missing = set(lacks)
        if missing - self._missing:
            tell = log.warning if self._was_ready else log.info
            reasons = dict.fromkeys(lacks.values())  # one engine's absence is often that of several
            tell("not_ready", missing=", ".join(lacks), found="; ".join(reasons))
        elif self._missing and not missing:
            log.info("ready_again" if self._was_ready else "ready")
        self._missing = missing
        self._was_ready |= not missing
        if missing and self._was_ready and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._until_ready(), name="readiness")

    async def _until_ready(self) -> None:
        while self._missing:
            await asyncio.sleep(LOOK_AGAIN_S)
            await self.look()

    async def _ask(self, check: ReadinessCheck) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await check.probe() or OK
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"


def readiness_checks(
    kafka: KafkaSettings,
    control: ControlLog,
    store: Store,
    tiering: TieringSettings,
    settings: QuerySettings,
) -> tuple[ReadinessCheck, ...]:
    """The way of an event, checked: keys to let it in, broker, streams, sink, store."""
    topics = kafka.topics
    lag_max = settings.readiness_lag_max
    streams = GroupProbe(
        kafka, f"{topics.prefix}-streams", (topics.events, topics.deltas), lag_max=lag_max
    )
    written = (
        topics.observations,
        topics.traces,
        topics.scores,
        topics.windows,
        topics.spend,
        topics.alerts,
        topics.dead_letters,
    )
    sink = GroupProbe(kafka, f"{topics.prefix}-sink", written, lag_max=lag_max)
    return (
        ReadinessCheck("keys", keys_probe(control)),
        ReadinessCheck("broker", broker_probe(kafka)),
        ReadinessCheck("store", store_probe(store, tiering)),
        ReadinessCheck("streams", streams),
        ReadinessCheck("sink", sink),
    )


def keys_probe(control: ControlLog) -> Probe:
    """Some project has a key: until then every event is refused."""

    async def probe() -> str | None:
        if control.view.api_keys:
            return None
        return "no project has a key: `tracemill migrate` writes the first one"

    return probe


def store_probe(store: Store, tiering: TieringSettings) -> Probe:
    """The store answers, and its schema is the one this version reads."""

    async def probe() -> str | None:
        try:
            steps = await plan(store, tiering)
        except MigrationError as error:
            return f"the schema is not what it should be: {error}"[:300]
        except StoreError as error:
            return f"the store does not answer: {error}"[:300]
        missing = [step.name for step in steps if step.number]
        return f"not migrated: {', '.join(missing)}" if missing else None

    return probe


async def newest_start_us(store: Store, bounds: str) -> int:
    """About when the newest stored observation or trace began, of all projects; zero without any. ``bounds`` is the statement's ``SETTINGS``.

    What the parts are known by says so: no row is read. Errors as ``Store.query``.
    """
    (row,) = await store.query(
        "SELECT toUnixTimestamp(max(max_time)) AS newest_s FROM system.parts"
        " WHERE active AND database = {database:String} AND table IN ('observations', 'traces')"
        f" {bounds}",
        {"database": store.database},
    )
    return int(row["newest_s"]) * SECOND_US


def broker_probe(kafka: KafkaSettings) -> Probe:
    """The broker answers, and the topics are there."""

    async def probe() -> str | None:
        try:
            async with AsyncExitStack() as stack:
                admin = await _admin(kafka, stack)
                existing = set(await admin.list_topics())
        except (KafkaError, OSError) as error:
            return _unreachable(kafka, error)
        topics = kafka.topics
        missing = sorted({topics.events, topics.control} - existing)
        return f"no topic {', '.join(missing)}" if missing else None

    return probe


@dataclass(frozen=True, slots=True)
class GroupProbe:
    """A consumer group has live members and keeps up with its topics."""

    kafka: KafkaSettings
    group: str
    topics: tuple[str, ...]
    lag_max: int

    async def __call__(self) -> str | None:
        try:
            async with AsyncExitStack() as stack:
                admin = await _admin(self.kafka, stack)
                idle = await self._idle(admin)
                if idle:
                    return idle
                lag = await self._lag(admin, stack)
        except GroupCoordinatorNotAvailableError:
            return f"no coordinator for the group {self.group}"
        except (KafkaError, OSError) as error:
            return _unreachable(self.kafka, error)
        if lag > self.lag_max:
            return f"the group {self.group} is {lag} records behind"
        return None

    async def _idle(self, admin: AIOKafkaAdminClient) -> str | None:
        (response,) = await admin.describe_consumer_groups([self.group])
        _, _, state, _, _, members, *_ = response.groups[0]
        if not members:
            return f"no live member in the group {self.group}"
        return None if state == _STABLE else f"the group {self.group} is being rebalanced"

    async def _lag(self, admin: AIOKafkaAdminClient, stack: AsyncExitStack) -> int:
        committed = await admin.list_consumer_group_offsets(self.group)
        consumer = new_consumer(self.kafka, *self.topics, group_id=None)
        stack.push_async_callback(consumer.stop)
        await consumer.start()
        partitions = [
            TopicPartition(topic, number)
            for topic in self.topics
            for number in consumer.partitions_for_topic(topic) or ()
        ]
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        return sum(
            ends[partition] - _reached(committed.get(partition), begins[partition])
            for partition in partitions
        )


def _reached(committed: object, begin: int) -> int:
    """Where a group stands; without a committed offset, at the beginning of what is kept."""
    return max(getattr(committed, "offset", -1), begin)


async def _admin(kafka: KafkaSettings, stack: AsyncExitStack) -> AIOKafkaAdminClient:
    admin = new_admin(kafka)
    stack.push_async_callback(admin.close)
    await admin.start()
    return admin


def _unreachable(kafka: KafkaSettings, error: Exception) -> str:
    return f"the broker at {kafka.broker} does not answer: {error or type(error).__name__}"[:300]
