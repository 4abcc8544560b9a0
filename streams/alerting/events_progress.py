"""Measure how far stage 1 has processed the events, whose deltas the alerting stage reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from producers.kafka.clients import new_admin, new_consumer, started, stopped
from producers.settings import KafkaSettings
from streams.alerting import metrics
from streams.alerting.settings import AlertingSettings
from streams.core.observations.deferral import DeferredEnds
from streams.runtime.restarts import keep_running

STOP_TIMEOUT_S: Final = 2.0
SECOND_US: Final = 1_000_000
DEFERRED_TAIL_RECORDS: Final = 1_000
"""Number of the last records of a partition of ``deferred`` that are read to find whether events
wait."""
DEFERRED_POLL_MS: Final = 500

log = structlog.get_logger(__name__)

Ends = Mapping[TopicPartition, int]


class EventsProgress:
    """The time before which all events are processed.

    While stage 1 is behind, for instance because it waits for the store, time stands still for
    rules: otherwise they would see silence where events wait to be processed.
    """

    def __init__(
        self, kafka: KafkaSettings, settings: AlertingSettings, now_us: Callable[[], int]
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._now_us = now_us
        self._processed_to_us = 0
        self._expected: tuple[int, Ends] | None = None
        self._is_behind = False
        self._tasks: list[asyncio.Task[None]] = []
        self._deferred: dict[TopicPartition, DeferredEnds] = {}
        self._knows_deferred = False

    @property
    def has_deferred(self) -> bool:
        """Return whether stage 1 has deferred events that still wait for the store."""
        return any(each.is_waiting for each in self._deferred.values())

    @property
    def is_partial(self) -> bool:
        """Return whether accepted events are not processed yet: deferred, or stage 1 is behind.

        Also true until it is known, and false while traffic is processed with the usual delay.
        """
        is_known = self._knows_deferred and self._processed_to_us > 0
        return not is_known or self._is_behind or self.has_deferred

    def start(self) -> None:
        """Start to measure; failures of the broker are retried."""
        settings = self._settings
        for name, run in (("progress", self._run), ("deferral", self._follow_deferred)):
            self._tasks.append(
                asyncio.create_task(
                    keep_running(
                        run,
                        first_pause_s=settings.restart_pause_s,
                        pause_max_s=settings.restart_pause_max_s,
                        on_failure=_failed,
                    ),
                    name=f"alerting events {name}",
                )
            )

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def time_us(self, now_us: int) -> int:
        """Return the time until which it is known what happened: ``now_us`` if all is processed."""
        behind_s = (now_us - self._processed_to_us) / SECOND_US
        is_behind = behind_s > self._settings.events_behind_max_s
        if is_behind and not self._is_behind:
            metrics.LIMIT_REACHED.labels("events_behind_max_s").inc()
            log.info("rules_wait_for_events", processed_to_us=self._processed_to_us)
        self._is_behind = is_behind
        return self._processed_to_us if is_behind else now_us

    def measured(self, now_us: int, ends: Ends, committed: Ends) -> None:
        """Add a measurement: the ends of the log at ``now_us``, and what was processed later."""
        if self._expected is not None and _reached(self._expected[1], committed):
            self._processed_to_us, self._expected = self._expected[0], None
        if _reached(ends, committed):
            self._processed_to_us, self._expected = now_us, None
        elif self._expected is None:
            self._expected = (now_us, ends)

    def deferred_read(self) -> None:
        """Note that the existing records about deferred events are read."""
        self._knows_deferred = True

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            consumer: AIOKafkaConsumer = await started(
                lambda: new_consumer(self._kafka), self._kafka
            )
            stack.push_async_callback(stopped, consumer, STOP_TIMEOUT_S)
            admin: AIOKafkaAdminClient = await started(lambda: new_admin(self._kafka), self._kafka)
            stack.push_async_callback(admin.close)
            while True:
                await self._measure(consumer.end_offsets, consumer.beginning_offsets, admin)
                await asyncio.sleep(self._settings.events_poll_s)

    async def _follow_deferred(self) -> None:
        """Read the last records of the topic ``deferred``, and follow it."""
        partitions = [
            TopicPartition(self._kafka.topics.deferred, number)
            for number in range(self._kafka.event_partitions)
        ]
        consumer: AIOKafkaConsumer = await started(lambda: new_consumer(self._kafka), self._kafka)
        try:
            consumer.assign(partitions)
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            for each in partitions:
                consumer.seek(each, max(begins[each], ends[each] - DEFERRED_TAIL_RECORDS))
                self._deferred[each] = DeferredEnds()
            while True:
                found = await consumer.getmany(timeout_ms=DEFERRED_POLL_MS)
                for partition, records in found.items():
                    for record in records:
                        self._deferred[partition].add(record.offset, record.headers)
                if not self._knows_deferred:
                    positions = {each: await consumer.position(each) for each in partitions}
                    if _reached(ends, positions):
                        self.deferred_read()
        finally:
            await stopped(consumer, STOP_TIMEOUT_S)

    async def _measure(
        self,
        ends_of: Callable[[list[TopicPartition]], Awaitable[Ends]],
        begins_of: Callable[[list[TopicPartition]], Awaitable[Ends]],
        admin: AIOKafkaAdminClient,
    ) -> None:
        topics = self._kafka.topics
        partitions = [
            TopicPartition(topics.events, number) for number in range(self._kafka.event_partitions)
        ]
        now_us = self._now_us()
        ends = await ends_of(partitions)
        begins = await begins_of(partitions)
        offsets = await admin.list_consumer_group_offsets(
            topics.streams_group, partitions=partitions
        )
        filled = {each: end for each, end in ends.items() if begins[each] < end}
        self.measured(now_us, filled, {each: found.offset for each, found in offsets.items()})


def _failed(error: BaseException, again_in_s: float) -> None:
    log.warning("events_progress_unknown", reason=repr(error), again_in_s=again_in_s)


def _reached(ends: Ends, committed: Ends) -> bool:
    return all(committed.get(partition, 0) >= end for partition, end in ends.items())
