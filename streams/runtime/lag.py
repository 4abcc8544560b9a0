"""Measure the lag of partitions on a timer, so that stalls are visible."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from producers.kafka.clients import new_consumer, started, stopped
from producers.progress import PartitionProgress
from producers.settings import KafkaSettings

log = structlog.get_logger(__name__)

MEASURE_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0
THE_BROKER: Final = "the broker"
THE_STORE: Final = "the store"


@dataclass(frozen=True, slots=True)
class Lag:
    """The number of records that are not processed, and the age of the oldest one."""

    records: int
    seconds: float


class Backlog:
    """The records of one partition that were received but not processed."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, float]] = deque()
        self._done_to: int | None = None
        self._end = 0
        self._behind_since_s: float | None = None

    def received(self, offset: int, at_s: float) -> None:
        """Add a record that the broker appended at ``at_s``.

        If the record was added before, the partition was rewound, and all later records will be
        added again.
        """
        while self._waiting and self._waiting[-1][0] >= offset:
            self._waiting.pop()
        self._waiting.append((offset, at_s))

    def done(self, to: int) -> None:
        """Remove the records before the offset ``to``, which are processed."""
        self._done_to = to
        while self._waiting and self._waiting[0][0] < to:
            self._waiting.popleft()

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return the lag behind ``end``, the offset after the last record of the log.

        If ``end`` is None, the last known end is used. The age of a record that was not received
        yet is measured from when the new end was noticed.
        """
        self._end = max(self._end, end or 0)
        done_to = self._done_to
        behind = len(self._waiting) if done_to is None else max(0, self._end - done_to)
        records = max(behind, len(self._waiting))
        if not records:
            self._behind_since_s = None
            return Lag(0, 0.0)
        if self._behind_since_s is None:
            self._behind_since_s = now_s
        oldest_s = self._waiting[0][1] if self._waiting else self._behind_since_s
        return Lag(records, max(0.0, now_s - oldest_s))


@dataclass(frozen=True, slots=True)
class Position:
    """The progress of the worker of a partition.

    Attributes:
        next_offset: the first record that is not processed; None while the state is restored.
        received_to: the offset after the last record that was received.
        waits_for: the dependency that the worker waits for; empty: none.
        steps: counter of other progress, such as attempts to fold a chunk.
    """

    next_offset: int | None
    received_to: int
    waits_for: str = ""
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """A partition, the functions that return its lag and progress, and the gauges of its lag."""

    partition: TopicPartition
    lag: Callable[[int | None, float], Lag]
    records: Gauge
    seconds: Gauge
    position: Callable[[], Position] = lambda: Position(None, 0)


Ends = Callable[[list[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]


@dataclass(slots=True)
class EndsSeen:
    """The first and the latest measured end of a log; None if the latest measurement failed."""

    first: int
    last: int | None


class LagWatch:
    """A task that measures the lag of each partition that ``watched`` yields."""

    def __init__(self, kafka: KafkaSettings, watched: Callable[[], Iterable[Watched]]) -> None:
        self._kafka = kafka
        self._watched = watched
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._ends_seen: dict[TopicPartition, EndsSeen] = {}

    async def start(self) -> None:
        """Connect to Kafka and start to measure.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        consumer: AIOKafkaConsumer = await started(lambda: new_consumer(self._kafka), self._kafka)
        self._consumer = consumer
        self._task = asyncio.create_task(
            watch(consumer.end_offsets, self._watched, ends_seen=self._ends_seen), name="lag"
        )

    def work(self) -> list[PartitionProgress]:
        """Return the progress of each partition; other threads may call this."""
        found = []
        for each in list(self._watched()):
            position, seen = each.position(), self._ends_seen.get(each.partition)
            waits_for = position.waits_for
            if position.next_offset is None:
                waits_for = "its earlier output"
            elif seen is None or seen.last is None:
                waits_for = THE_BROKER
            next_offset = position.next_offset or 0
            # Only a log that has grown has input: retention may have deleted all records before
            # the end.
            grown = seen is not None and seen.last is not None and seen.last > seen.first
            has_input = position.received_to > next_offset or (
                grown and seen is not None and (seen.last or 0) > next_offset
            )
            topic, number = each.partition.topic, each.partition.partition
            found.append(
                PartitionProgress(
                    "streams", topic, number, next_offset, has_input, waits_for, position.steps
                )
            )
        return found

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await stopped(self._consumer, STOP_TIMEOUT_S)


async def watch(
    ends: Ends,
    watched: Callable[[], Iterable[Watched]],
    every_s: float = MEASURE_S,
    *,
    ends_seen: dict[TopicPartition, EndsSeen] | None = None,
) -> None:
    """Measure until cancelled; remove the gauges of partitions that are no longer watched."""
    shown: dict[TopicPartition, Watched] = {}
    while True:
        now = {each.partition: each for each in watched()}
        known: Mapping[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(every_s):
                known = await ends(list(now)) if now else {}
        except (KafkaError, TimeoutError) as error:
            log.debug("log_ends_unknown", reason=repr(error))
        for partition, gone in shown.items():
            if partition not in now:
                gone.records.remove(str(partition.partition))
                gone.seconds.remove(str(partition.partition))
        shown = now
        if ends_seen is not None:
            _note_ends(ends_seen, now, known)
        for partition, each in now.items():
            lag = each.lag(known.get(partition), time.time())
            each.records.labels(str(partition.partition)).set(lag.records)
            each.seconds.labels(str(partition.partition)).set(lag.seconds)
        await asyncio.sleep(every_s)


def _note_ends(
    seen: dict[TopicPartition, EndsSeen],
    watched: Iterable[TopicPartition],
    known: Mapping[TopicPartition, int],
) -> None:
    wanted = set(watched)
    for gone in seen.keys() - wanted:
        del seen[gone]
    for partition in wanted:
        end = known.get(partition)
        if partition in seen:
            seen[partition].last = end
        elif end is not None:
            seen[partition] = EndsSeen(end, end)
