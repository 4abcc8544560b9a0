"""Runs the notifier as a separate task that is restarted when it fails and ends no other stage.

Its own consumer group decides which worker delivers: the one that is assigned the only partition of
``alerts``. The group's consumer reads nothing; the notifier reads its logs from their beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from producers.control.log import ControlLog
from producers.control.own_endpoints import own_endpoints
from producers.control.record import Change
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.dead_letters.texts import describe_error
from streams.notifications import metrics
from streams.notifications.notifier import Notifier
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_sender import WebhookSender
from streams.runtime.app import SESSION_TIMEOUT_S
from streams.runtime.restarts import keep_running
from streams.runtime.suspension import SuspensionGuard

log = structlog.get_logger(__name__)

POLL_MS: Final = 500


def notifier_group(kafka: KafkaSettings) -> str:
    """Return the consumer group of the workers that may deliver."""
    return f"{kafka.topic_prefix}-notifier"


class NotifierStage:
    """Joins the group, and delivers while this worker has the partition."""

    def __init__(
        self,
        kafka: KafkaSettings,
        control: ControlLog,
        settings: NotifierSettings,
        webhooks: WebhookSettings,
        instance_id: str = "",
        guard: SuspensionGuard | None = None,
    ) -> None:
        self._may_send = None if guard is None else guard.check
        self._kafka = kafka
        self._control = control
        self._settings = settings
        self._webhooks = webhooks
        self._instance_id = instance_id
        self._task: asyncio.Task[None] | None = None
        self._notifier: Notifier | None = None

    def start(self) -> None:
        """Begin; neither an absent broker nor any failure ends it."""
        self._control.subscribe(self._control_changed)
        self._task = asyncio.create_task(
            keep_running(
                self._live,
                first_pause_s=self._settings.restart_pause_s,
                pause_max_s=self._settings.restart_pause_max_s,
                on_failure=_failed,
            ),
            name="notifier",
        )

    async def stop(self) -> None:
        """Let attempts under way end, within ``stop_timeout_s``, and disconnect."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _live(self) -> None:
        """Take part in the group until cancelled or until something fails."""
        timeout_s = self._settings.stop_timeout_s
        async with AsyncExitStack() as stack:
            producer = await started(
                lambda: new_producer(
                    self._kafka,
                    batch_bytes=self._kafka.control_record_max_bytes,
                    may_send=self._may_send,
                ),
                self._kafka,
            )
            stack.push_async_callback(stopped, producer, timeout_s)
            consumer = await started(self._new_consumer, self._kafka)
            stack.push_async_callback(stopped, consumer, timeout_s)
            turn = _Turn(self, consumer, producer)
            stack.push_async_callback(turn.end)
            consumer.subscribe([self._kafka.topics.alerts], listener=turn)
            while True:
                await consumer.getmany(timeout_ms=POLL_MS)
                turn.raise_failure()

    async def deliver(self, producer: AIOKafkaProducer) -> None:
        """Deliver until cancelled. Raises the exception that ended the notifier."""
        sender = WebhookSender(
            self._settings,
            allow_private=self._webhooks.allow_private,
            own=own_endpoints(self._webhooks.forbidden_ports),
        )
        try:
            self._notifier = Notifier(self._kafka, self._control, producer, sender, self._settings)
            await self._notifier.run()
        finally:
            self._notifier = None
            await sender.close()

    def _new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self._kafka,
            group_id=notifier_group(self._kafka),
            group_instance_id=self._instance_id or None,
            auto_offset_reset="latest",
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1_000),
            heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 200),
            request_timeout_ms=int(self._kafka.request_timeout_s * 1_000),
        )

    def _control_changed(self, change: Change) -> None:
        if self._notifier is not None:
            self._notifier.control_changed(change)


class _Turn(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Runs the notifier while the partition of ``alerts`` is assigned to this worker."""

    def __init__(
        self, stage: NotifierStage, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
    ) -> None:
        self._stage = stage
        self._consumer = consumer
        self._producer = producer
        self._delivering: asyncio.Task[None] | None = None

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self._consumer.pause(*assigned)
            if self._delivering is None:
                self._delivering = asyncio.create_task(
                    self._stage.deliver(self._producer), name="deliveries"
                )

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        await self.end()

    def raise_failure(self) -> None:
        """Raise what ended the notifier, if anything did."""
        if self._delivering is not None and self._delivering.done():
            delivering, self._delivering = self._delivering, None
            delivering.result()

    async def end(self) -> None:
        """Stop delivering, before another worker starts."""
        if self._delivering is not None:
            delivering, self._delivering = self._delivering, None
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)


def _failed(error: Exception, again_in_s: float) -> None:
    metrics.RESTARTS.inc()
    log.error(
        "notifier_failed",
        reason=describe_error(error),
        again_in_s=round(again_in_s, 1),
        exc_info=error,
    )
