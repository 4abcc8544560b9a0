"""Run one kind of job in its own task, which is restarted after failures.

The kind runs on the worker to which its consumer group assigns the only partition of the source.
The group's consumer reads no records; the runner reads the source and the log of states from their
start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from producers.control.record import Change
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from streams.core.dead_letters.texts import describe_error
from streams.jobs.kind import JobContext, JobKind
from streams.jobs.runner import JobRunner
from streams.jobs.settings import JobSettings
from streams.runtime.app import SESSION_TIMEOUT_S
from streams.runtime.restarts import keep_running
from streams.runtime.suspension import SuspensionGuard

log = structlog.get_logger(__name__)

POLL_MS: Final = 500


class JobStage:
    """A task that joins a kind's consumer group, and runs the kind while it has the partition."""

    def __init__(
        self,
        kind: type[JobKind[Any]],
        context: JobContext,
        instance_id: str = "",
        guard: SuspensionGuard | None = None,
    ) -> None:
        self._kind = kind
        self._context = context
        self._kafka = context.kafka
        self._limits: JobSettings = context.settings.limits()
        self._metrics = kind.metrics()
        self._may_send = None if guard is None else guard.check
        self._instance_id = instance_id
        self._task: asyncio.Task[None] | None = None
        self._runner: JobRunner[Any] | None = None

    def start(self) -> None:
        """Start the task, which retries if the broker is unavailable or the runner fails."""
        self._context.control.subscribe(self._control_changed)
        self._task = asyncio.create_task(
            keep_running(
                self._run_in_group,
                first_pause_s=self._limits.restart_pause_s,
                pause_max_s=self._limits.restart_pause_max_s,
                on_failure=self._failed,
            ),
            name=self._kind.name,
        )

    async def stop(self) -> None:
        """Wait up to ``stop_timeout_s`` for running attempts, then disconnect."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run_in_group(self) -> None:
        """Join the consumer group and run the kind when it is assigned, until a failure."""
        timeout_s = self._limits.stop_timeout_s
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
            assignment = _Assignment(self, consumer, producer)
            stack.push_async_callback(assignment.end)
            consumer.subscribe([self._kind.source(self._kafka.topics)], listener=assignment)
            while True:
                await consumer.getmany(timeout_ms=POLL_MS)
                assignment.raise_failure()

    async def run_kind(self, producer: AIOKafkaProducer) -> None:
        """Run the kind until cancelled; raise the exception that ended its runner."""
        kind = self._kind(self._context)
        try:
            self._runner = JobRunner(kind, self._kafka, producer)
            await self._runner.run()
        finally:
            self._runner = None
            await kind.close()

    def _new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self._kafka,
            group_id=self._kind.group(self._kafka),
            group_instance_id=self._instance_id or None,
            auto_offset_reset="latest",
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1_000),
            heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 200),
            request_timeout_ms=int(self._kafka.request_timeout_s * 1_000),
        )

    def _control_changed(self, change: Change) -> None:
        if self._runner is not None:
            self._runner.control_changed(change)

    def _failed(self, error: Exception, again_in_s: float) -> None:
        self._metrics.restarted()
        log.error(
            "job_runner_failed",
            kind=self._kind.name,
            reason=describe_error(error),
            again_in_s=round(again_in_s, 1),
            exc_info=error,
        )


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """A listener that runs the kind while the partition is assigned to this worker."""

    def __init__(
        self, stage: JobStage, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
    ) -> None:
        self._stage = stage
        self._consumer = consumer
        self._producer = producer
        self._running: asyncio.Task[None] | None = None

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self._consumer.pause(*assigned)
            if self._running is None:
                self._running = asyncio.create_task(
                    self._stage.run_kind(self._producer), name="jobs"
                )

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        await self.end()

    def raise_failure(self) -> None:
        """Raise the exception that ended the runner, if it has ended."""
        if self._running is not None and self._running.done():
            running, self._running = self._running, None
            running.result()

    async def end(self) -> None:
        """Stop the kind, before another worker starts it."""
        if self._running is not None:
            running, self._running = self._running, None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
