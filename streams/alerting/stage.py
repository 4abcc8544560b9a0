"""Run the alerting stage: a worker for each assigned partition of ``deltas``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from clickhouse.feeds.alert_states import FEED as ALERT_STATES
from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.control.record import Change, ControlRecord
from producers.kafka.broker_clock import BrokerClock
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from producers.settings import KafkaSettings
from producers.tiers.book import TierBook
from producers.tiers.log import TierLog
from producers.tiers.record import Tier
from streams.alerting import metrics
from streams.alerting.events_progress import EventsProgress
from streams.alerting.output import AlertingOutput
from streams.alerting.partition import AlertingPartition, PartitionContext
from streams.alerting.registry import EVALUATORS
from streams.alerting.settings import AlertingSettings
from streams.alerting.stored_spend import SpendSource
from streams.core.alerting.evaluator import EvaluatorKind
from streams.core.dead_letters.texts import describe_error
from streams.core.rollups.deltas import partition_of_project
from streams.runtime.app import SESSION_TIMEOUT_S
from streams.runtime.partition_host import PartitionHost, Restarts, StageSpec
from streams.runtime.restarts import keep_running
from streams.runtime.suspension import SuspensionGuard
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

POLL_MS: Final = 500


class AlertingStage:
    """A member of the consumer group ``alerting_group``, and the workers of its partitions.

    It depends only on Kafka, so that rules and budgets are evaluated without the store.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        control: ControlLog,
        settings: AlertingSettings,
        *,
        clock: BrokerClock | None = None,
        guard: SuspensionGuard | None = None,
        instance_id: str = "",
        kinds: Mapping[str, EvaluatorKind] = EVALUATORS,
        tiers: TierLog | None = None,
        spend: SpendSource | None = None,
        store: Store | None = None,
        waits_for_events: bool = False,
    ) -> None:
        """Prepare the stage.

        Without ``tiers``, users have none. Without ``spend``, budgets know only the spend since
        they were created. Without ``store``, or while it does not answer, rules that compare with
        earlier windows are incomplete. With ``waits_for_events``, time stands still for rules while
        stage 1 is behind.
        """
        self._kafka = kafka
        self._control = control
        self._settings = settings
        self._may_send = None if guard is None else guard.check
        self._instance_id = instance_id
        self._tiers = tiers
        book = TierBook() if tiers is None else tiers.book
        time_us = _time_of(clock)
        self._events = EventsProgress(kafka, settings, time_us) if waits_for_events else None
        self._context = PartitionContext(
            kafka, settings, control, kinds, time_us, book, spend, store, self._events
        )
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None
        self._committed: dict[TopicPartition, int] = {}
        self.host = PartitionHost(
            StageSpec(
                name="alerting",
                topic=kafka.topics.deltas,
                new_worker=self._new_partition,
                lag_records=metrics.LAG_RECORDS,
                lag_s=metrics.LAG_S,
                finish_timeout_s=settings.stop_timeout_s,
                restarts=Restarts(
                    settings.restart_pause_s,
                    settings.restart_pause_max_s,
                    lambda number, error, again_in_s: _failed(error, again_in_s, number),
                ),
            )
        )

    def start(self) -> None:
        """Start to take part in the group; failures of the broker are retried."""
        self._control.subscribe(self._control_changed)
        if self._tiers is not None:
            self._tiers.subscribe(self._tier_changed)
        if self._events is not None:
            self._events.start()
        self._task = asyncio.create_task(
            keep_running(
                self._run_in_group,
                first_pause_s=self._settings.restart_pause_s,
                pause_max_s=self._settings.restart_pause_max_s,
                on_failure=_failed,
            ),
            name="alerting",
        )

    async def stop(self) -> None:
        """Flush within ``stop_timeout_s``, and leave the group."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._events is not None:
            await self._events.stop()

    async def _run_in_group(self) -> None:
        """Join the group, and run the workers of the assigned partitions until a failure."""
        timeout_s = self._settings.stop_timeout_s
        async with AsyncExitStack() as stack:
            self._producer = await started(
                lambda: new_producer(
                    self._kafka,
                    batch_bytes=self._kafka.control_record_max_bytes,
                    may_send=self._may_send,
                ),
                self._kafka,
            )
            stack.push_async_callback(stopped, self._producer, timeout_s)
            consumer = await started(self._new_consumer, self._kafka)
            stack.push_async_callback(stopped, consumer, timeout_s)
            stack.push_async_callback(self.host.stop)
            assignment = _Assignment(self.host, consumer)
            consumer.subscribe([self._kafka.topics.deltas], listener=assignment)
            while True:
                await consumer.getmany(timeout_ms=POLL_MS)
                await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what the workers have written, so that retention keeps what they have not read.

        They continue from their own checkpoints. So a commit that fails is repeated later.
        """
        positions = {
            TopicPartition(self._kafka.topics.deltas, number): worker.position().next_offset
            for number, worker in self.host.workers.items()
        }
        offsets = {partition: offset for partition, offset in positions.items() if offset}
        if offsets and offsets != self._committed:
            with contextlib.suppress(KafkaError):
                await consumer.commit(offsets)
                self._committed = offsets

    def _new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self._kafka,
            group_id=self._kafka.topics.alerting_group,
            group_instance_id=self._instance_id or None,
            auto_offset_reset="latest",
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1_000),
            heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 200),
            request_timeout_ms=int(self._kafka.request_timeout_s * 1_000),
        )

    def _new_partition(self, number: int, _: AlertingPartition | None) -> AlertingPartition:
        assert self._producer is not None, "the group is joined after the producer has started"
        output = AlertingOutput(
            self._producer,
            self._kafka.topics,
            self._kafka.topics.of(ALERT_STATES.topic),
            number,
            self._kafka.record_max_bytes,
            self._settings.states_in_flight_max,
        )
        return AlertingPartition(number, self._context, output)

    def _control_changed(self, change: Change) -> None:
        owner = change.owner if isinstance(change, ControlRecord) else None
        if owner is None:
            for worker in self.host.workers.values():
                worker.control_changed(change)
            return
        owned = self._worker_of(owner)
        if owned is not None:
            owned.control_changed(change)

    def _tier_changed(self, tier: Tier) -> None:
        worker = self._worker_of(tier.project_id)
        if worker is not None:
            worker.tier_changed(tier)

    def _worker_of(self, project_id: str) -> AlertingPartition | None:
        partition = partition_of_project(project_id, self._kafka.project_partitions)
        return self.host.workers.get(partition)


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A listener that starts and ends the workers of partitions."""

    def __init__(self, host: PartitionHost[AlertingPartition], consumer: AIOKafkaConsumer) -> None:
        self._host = host
        self._consumer = consumer

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        # The workers read for themselves; the consumer only keeps the membership.
        self._consumer.pause(*assigned)
        self._host.assign(sorted(each.partition for each in assigned))

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._host.revoke(sorted(each.partition for each in revoked))


def _time_of(clock: BrokerClock | None) -> Callable[[], int]:
    if clock is None:
        return now_us
    return lambda: now_us() - round(clock.skew_s * 1e6)


def _failed(error: Exception, again_in_s: float, partition: int | None = None) -> None:
    metrics.RESTARTS.inc()
    log.error(
        "alerting_failed",
        partition=partition,
        reason=describe_error(error),
        again_in_s=round(again_in_s, 1),
        exc_info=error,
    )
