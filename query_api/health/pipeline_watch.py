"""Check periodically whether the streams and the sink process their records.

A check makes five requests to the broker: one for the ends of the logs, and two for the offsets and
the members of each consumer group. While partitions have no commit, a sixth one is for their first
offsets. Checks do not depend on the number of clients that request readiness. If a partition of
events or deltas has had no new records for a while, a canary is sent to it
(``producers.kafka.canary``), so that a hung stage is detected without input.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from producers.errors import BrokerUnavailableError
from producers.kafka.broker_clock import BrokerClock
from producers.kafka.canary import CANARY_HEADERS, CANARY_VALUE
from producers.kafka.clients import new_admin, new_consumer, new_producer, started, stopped
from producers.kafka.consumer_groups import ConsumerGroups
from producers.settings import KafkaSettings
from query_api.health.partition_progress import PartitionProgress
from query_api.health.topic_rates import TopicProgress, TopicRates
from query_api.health.watermark import Watermark
from query_api.settings import QuerySettings
from query_api.times import SECOND_US

RECONNECT_S: Final = 0.5
STARTUP_CHECK_INTERVAL_S: Final = 0.2
"""Maximum interval of checks until all stages have been without a fault once."""
STOP_TIMEOUT_S: Final = 2.0
CANARY_BATCH_BYTES: Final = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: a consumer group and the topics that it processes."""

    group: str
    topics: tuple[str, ...]


class PipelineWatch:
    """Check the pipeline while ``running``; ``broker_fault`` and ``stage_fault`` return results."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: QuerySettings,
        clock: BrokerClock | None = None,
        feeds: Sequence[Feed] = FEEDS,
    ) -> None:
        topics = kafka.topics
        self._kafka = kafka
        self._settings = settings
        self._clock = clock
        self.streams = Stage(topics.streams_group, (topics.events, topics.deltas))
        self.sink = Stage(
            topics.sink_group,
            tuple(feed.topic_in(topics) for feed in feeds),
        )
        self._topics_in_order = ((topics.events,), (topics.deltas,), self.sink.topics)
        self._watermark: Watermark[TopicPartition] | None = None
        self._canary_topics = frozenset((topics.events, topics.deltas))
        self._topics_with_canaries = self._canary_topics | {
            feed.topic_in(topics) for feed in feeds if feed.has_canaries
        }
        self._needed = frozenset((topics.control, *self.streams.topics, *self.sink.topics))
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._rates: dict[str, TopicRates] = {}
        self._groups_without_members: set[str] = set()
        self._canary_at_s: dict[TopicPartition, float] = {}
        self._checked_at_s: float | None = None
        self._was_ready = False
        self._error = f"the broker at {kafka.broker} has not answered yet"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check periodically while the block runs; reconnect after failures of the broker."""
        task = asyncio.create_task(self._watch(), name="pipeline watch")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def broker_fault(self) -> str | None:
        """Return why the broker cannot be used; None if it has responded recently."""
        return None if self._is_current() else self._error[:300]

    async def stage_fault(self, stage: Stage) -> str | None:
        """Return why a stage's records are not processed in time; None if they are."""
        if not self._is_current():
            return f"its progress is unknown: {self._error}"[:300]
        if stage.group in self._groups_without_members:
            return f"the group {stage.group} has no active member"
        now_s = time.monotonic()
        faults = [
            fault
            for partition, progress in sorted(self._progress.items())
            if partition.topic in stage.topics
            and (fault := self._fault(partition, progress, now_s)) is not None
        ]
        if not faults:
            return None
        more = f", and {len(faults) - 1} more partitions" if len(faults) > 1 else ""
        return f"{faults[0]}{more}"

    def progress(self) -> list[TopicProgress]:
        """Return the progress of each topic in order; empty while the broker does not respond."""
        if not self._is_current():
            return []
        now_s = time.monotonic()
        return [
            self._progress_of(name, topic, now_s)
            for name, stage in (("streams", self.streams), ("sink", self.sink))
            for topic in stage.topics
        ]

    def _progress_of(self, stage: str, topic: str, now_s: float) -> TopicProgress:
        found = [each for partition, each in self._progress.items() if partition.topic == topic]
        arrived_per_s, processed_per_s = self._rates.get(topic, TopicRates()).per_s()
        return TopicProgress(
            stage=stage,
            topic=topic,
            arrived_per_s=arrived_per_s,
            processed_per_s=processed_per_s,
            lag_records=sum(each.lag for each in found),
            oldest_s=max((each.age_s(now_s) for each in found), default=0.0),
        )

    def stored_until_us(self) -> int | None:
        """Return the time before which all accepted events are stored; None if it is unknown."""
        if self._watermark is None or not self._is_current():
            return None
        return self._watermark.stored_until_us

    def _is_current(self) -> bool:
        """Return whether the last check is recent, which it is not after a suspension."""
        limit_s = self._settings.readiness_look_interval_s + self._settings.readiness_timeout_s
        return self._checked_at_s is not None and time.monotonic() - self._checked_at_s <= limit_s

    def _fault(
        self, partition: TopicPartition, progress: PartitionProgress, now_s: float
    ) -> str | None:
        age_max_s = self._settings.readiness_record_age_max_s
        # Canaries produce no records in some topics, such as traces, scores and alerts. These may
        # have made no progress yet, so only an old unprocessed record is a fault.
        if partition.topic not in self._topics_with_canaries and progress.age_s(now_s) <= age_max_s:
            return None
        return progress.fault(
            f"partition {partition.partition} of {partition.topic}", age_max_s, now_s
        )

    async def _watch(self) -> None:
        while True:
            try:
                await self._check_until_disconnected()
            except (KafkaError, BrokerUnavailableError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                self._error = f"the broker at {self._kafka.broker} does not answer: {reason}"
                log.debug("pipeline_watch_lost", reason=repr(error))
            await asyncio.sleep(RECONNECT_S)

    async def _check_until_disconnected(self) -> None:
        kafka, timeout_s = self._kafka, self._settings.readiness_timeout_s
        async with AsyncExitStack() as stack:
            consumer: AIOKafkaConsumer = await started(
                lambda: new_consumer(kafka, group_id=None), kafka
            )
            stack.push_async_callback(stopped, consumer, STOP_TIMEOUT_S)
            admin = new_admin(kafka)
            stack.push_async_callback(stopped, admin, STOP_TIMEOUT_S)
            async with asyncio.timeout(kafka.request_timeout_s):
                await admin.start()
            groups = ConsumerGroups(admin)
            producer = await started(
                lambda: new_producer(kafka, batch_bytes=CANARY_BATCH_BYTES), kafka
            )
            stack.push_async_callback(stopped, producer, STOP_TIMEOUT_S)
            partitions: list[TopicPartition] = []
            while True:
                async with asyncio.timeout(timeout_s):
                    partitions = partitions or await self._partitions(producer)
                    if partitions:
                        await self._check(consumer, groups, partitions)
                        await self._send_canaries(producer)
                await asyncio.sleep(await self._interval_s())

    async def _interval_s(self) -> float:
        interval_s = self._settings.readiness_look_interval_s
        if not self._was_ready:
            faults = [await self.stage_fault(stage) for stage in (self.streams, self.sink)]
            self._was_ready = not any(faults)
        return interval_s if self._was_ready else min(interval_s, STARTUP_CHECK_INTERVAL_S)

    async def _partitions(self, producer: AIOKafkaProducer) -> list[TopicPartition]:
        cluster = await producer.client.fetch_all_metadata()
        missing = sorted(self._needed - cluster.topics())
        if missing:
            self._error = f"missing topics: {', '.join(missing)}"
            return []
        return [
            TopicPartition(topic, number)
            for topic in (*self.streams.topics, *self.sink.topics)
            for number in sorted(cluster.partitions_for_topic(topic) or ())
        ]

    async def _check(
        self,
        consumer: AIOKafkaConsumer,
        groups: ConsumerGroups,
        partitions: list[TopicPartition],
    ) -> None:
        names = (self.streams.group, self.sink.group)
        # Committed offsets are read first, so that a record that arrives in between counts as lag.
        committed: dict[TopicPartition, int] = {}
        for name in names:
            committed |= await groups.committed(name)
        self._groups_without_members = {
            name for name in names if not await groups.has_members(name)
        }
        before_us = int(time.time() * SECOND_US)
        ends = await consumer.end_offsets(partitions)
        begins = await self._beginnings(consumer, partitions, committed)
        now_s = time.monotonic()
        reached = {each: max(committed.get(each, -1), begins.get(each, -1)) for each in partitions}
        for partition in partitions:
            progress = self._progress.setdefault(partition, PartitionProgress())
            progress.observe(ends[partition], reached[partition], now_s)
        for topic in {each.topic for each in partitions}:
            of_topic = [each for each in partitions if each.topic == topic]
            self._rates.setdefault(topic, TopicRates()).observe(
                now_s, sum(ends[each] for each in of_topic), sum(reached[each] for each in of_topic)
            )
        if self._watermark is None:
            self._watermark = Watermark(
                [[each for each in partitions if each.topic in t] for t in self._topics_in_order]
            )
        self._watermark.observe(before_us, ends, reached)
        self._checked_at_s = now_s

    async def _beginnings(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Iterable[TopicPartition],
        committed: Mapping[TopicPartition, int],
    ) -> Mapping[TopicPartition, int]:
        """Return the first offset of partitions without a commit, at which their group starts."""
        unknown = [each for each in partitions if committed.get(each, -1) < 0]
        return await consumer.beginning_offsets(unknown) if unknown else {}

    async def _send_canaries(self, producer: AIOKafkaProducer) -> None:
        """Send a canary to each partition without recent records, and await all of them."""
        now_s = time.monotonic()
        interval_s = self._settings.readiness_canary_interval_s
        idle = [
            partition
            for partition, progress in self._progress.items()
            if partition.topic in self._canary_topics
            and now_s - max(progress.grew_at_s, self._canary_at_s.get(partition, float("-inf")))
            >= interval_s
        ]
        sent_s = time.time()
        sent = [
            await producer.send(
                partition.topic,
                CANARY_VALUE,
                partition=partition.partition,
                headers=list(CANARY_HEADERS),
            )
            for partition in idle
        ]
        for partition in idle:
            self._canary_at_s[partition] = now_s
        for found in await asyncio.gather(*sent):
            if self._clock is not None:
                self._clock.observe(found, sent_s, time.time())
