"""Publish events to Kafka as micro-batches of NDJSON, with one queue per partition.

A queue has at most one record in flight, and new lines are collected meanwhile. So an idle
partition sends at once, and a busy one sends few large records. A caller waits until all of its
lines are acknowledged. If any record fails, it receives one error for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Final, NoReturn

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from producers import metrics
from producers.errors import (
    BrokerUnavailableError,
    OverloadedError,
    UndeliveredError,
)
from producers.gateway.byte_quota import ByteQuota
from producers.gateway.event_batch import EventBatch
from producers.gateway.partition_queue import Chunk, PartitionQueue
from producers.kafka.broker_clock import BrokerClock
from producers.kafka.clients import new_producer, started, stopped
from producers.settings import GatewaySettings, KafkaSettings

RECORD_OVERHEAD_BYTES: Final = 1024

log = structlog.get_logger(__name__)


class EventPublisher:
    """Publish the events of many requests, with limits of bytes and time."""

    def __init__(
        self,
        kafka: KafkaSettings,
        gateway: GatewaySettings,
        no_backlog: asyncio.Event | None = None,
    ) -> None:
        """Create a publisher; while ``no_backlog`` is not set, it collects lines for longer."""
        self._no_backlog = no_backlog
        self.clock = BrokerClock(kafka.clock_skew_max_s)
        self._kafka = kafka
        self._gateway = gateway
        self._event_queues = [
            PartitionQueue(kafka.topics.events, number) for number in range(kafka.event_partitions)
        ]
        self._dead_letter_queue = PartitionQueue(kafka.topics.dead_letters, 0)
        self._unplaced_queue = PartitionQueue(kafka.topics.unplaced_updates, 0)
        self._pending = ByteQuota(gateway.pending_max_bytes)
        self._idle = asyncio.Event()
        self._idle.set()
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect, and start to send records.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._producer = await started(self._new_producer, self._kafka)
        self._tasks = [
            asyncio.create_task(self._run(queue), name=f"publish-{queue.topic}-{queue.partition}")
            for queue in (*self._event_queues, self._dead_letter_queue, self._unplaced_queue)
        ]

    async def stop(self) -> None:
        """Publish pending events for at most ``stop_timeout_s``, and close the connection."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._gateway.stop_timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._closing, return_exceptions=True)
        if self._producer is not None:
            await stopped(self._producer, self._gateway.stop_timeout_s)

    async def broker_answers(self) -> bool:
        """Return whether the broker responds within ``request_timeout_s``."""
        if self._producer is None:
            return False
        try:
            async with asyncio.timeout(self._kafka.request_timeout_s):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError):
            return False
        return True

    def batch(self, project_id: str = "", api_key: str = "") -> EventBatch:
        """Return an empty batch for one request; ``api_key`` is the public key of its sender."""
        return EventBatch(
            project_id,
            self._event_queues,
            self._dead_letter_queue,
            self._unplaced_queue,
            self._gateway,
            api_key,
        )

    def refuse_when_full(self) -> None:
        """Refuse a request, before its body is read, if nothing more can be queued.

        Raises:
            OverloadedError: ``pending_max_bytes`` is reached.
        """
        if self._pending.total >= self._pending.max_bytes:
            self._refuse_full()

    def _refuse_full(self) -> NoReturn:
        limit = "pending_max_bytes"
        metrics.LIMIT_REACHED.labels(limit=limit).inc()
        raise OverloadedError(limit)

    async def publish(self, batch: EventBatch) -> None:
        """Publish a batch, and wait until the broker has acknowledged all of it.

        Raises:
            OverloadedError: ``pending_max_bytes`` would be exceeded, or the record in flight of a
                partition is older than ``delivery_timeout_s``. Nothing was published.
            UndeliveredError: not all events were acknowledged within ``delivery_timeout_s``. Some
                of them may have been published.
        """
        self._refuse_behind_stalled(batch.lines_by_queue)
        chunks = self._enqueue(batch.project_id, batch.lines_by_queue)
        if not chunks:
            return
        _, late = await asyncio.wait(
            [chunk.acked for chunk in chunks], timeout=self._gateway.delivery_timeout_s
        )
        if late:
            metrics.LIMIT_REACHED.labels(limit="delivery_timeout_s").inc()
            self._withdraw(chunks)
        failures = [chunk.acked.exception() for chunk in chunks if chunk.acked.done()]
        if late or any(failures):
            message = "the broker did not acknowledge in time; please send it again"
            raise UndeliveredError(message) from next(filter(None, failures), None)
        for reason, count in batch.dead_letter_reasons.items():
            metrics.DEAD_LETTERS.labels(reason=reason).inc(count)

    def _refuse_behind_stalled(self, queues: Iterable[PartitionQueue]) -> None:
        """Refuse lines of partitions whose record in flight is late: they would be late as well."""
        latest_s = asyncio.get_running_loop().time() - self._gateway.delivery_timeout_s
        for queue in queues:
            if queue.sending_since_s is not None and queue.sending_since_s < latest_s:
                limit = "delivery_timeout_s"
                metrics.LIMIT_REACHED.labels(limit=limit).inc()
                raise OverloadedError(limit)

    def _enqueue(
        self, project_id: str, lines_by_queue: dict[PartitionQueue, list[bytes]]
    ) -> list[Chunk]:
        size = sum(len(line) + 1 for lines in lines_by_queue.values() for line in lines)
        if not self._pending.allows(project_id, size):
            self._refuse_full()
        self._add_pending(project_id, size)
        chunks = []
        for queue, lines in lines_by_queue.items():
            cut = self._cut(queue, project_id, lines)
            for chunk in cut:
                queue.append(chunk)
            chunks += cut
        return chunks

    def _withdraw(self, chunks: Iterable[Chunk]) -> None:
        """Remove chunks that are still queued; their client gets an error and sends them again."""
        for chunk in chunks:
            if chunk.queue.remove(chunk):  # otherwise it is in flight
                self._add_pending(chunk.project_id, -chunk.size)

    def _cut(self, queue: PartitionQueue, project_id: str, lines: list[bytes]) -> list[Chunk]:
        chunks: list[Chunk] = []
        current: list[bytes] = []
        current_bytes = 0
        for line in lines:
            if current and current_bytes + len(line) + 1 > self._gateway.record_target_bytes:
                chunks.append(Chunk(queue, project_id, current, current_bytes))
                current, current_bytes = [], 0
            current.append(line)
            current_bytes += len(line) + 1
        chunks.append(Chunk(queue, project_id, current, current_bytes))
        return chunks

    async def _run(self, queue: PartitionQueue) -> None:
        """Send the lines of a queue, one record at a time."""
        loop = asyncio.get_running_loop()
        linger_s = self._gateway.linger_ms / 1000
        sent_at = 0.0
        while True:
            await queue.filled.wait()
            pause_s = sent_at + linger_s - loop.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            await self._gather(queue)
            chunks = queue.take(self._gateway.record_target_bytes)
            if chunks:
                sent_at = queue.sending_since_s = loop.time()
                await self._send(queue, chunks)
                queue.sending_since_s = None

    async def _gather(self, queue: PartitionQueue) -> None:
        """Wait until no request waits to be decoded, for at most ``gather_max_ms``.

        Under load, one request is decoded in each pass of the event loop. Without this wait, each
        request would become a separate record, at a cost for the broker and all consumers.
        """
        if self._no_backlog is None or self._no_backlog.is_set():
            return
        try:
            async with asyncio.timeout_at(queue.filled_at_s + self._gateway.gather_max_ms / 1000):
                await self._no_backlog.wait()
        except TimeoutError:
            metrics.LIMIT_REACHED.labels(limit="gather_max_ms").inc()

    async def _send(self, queue: PartitionQueue, chunks: list[Chunk]) -> None:
        lines = [line for chunk in chunks for line in chunk.lines]
        producer = self._producer
        assert producer is not None, "start() comes first"
        try:
            with metrics.PRODUCE_SECONDS.time():
                sent_s = time.time()
                written = await producer.send_and_wait(
                    queue.topic, b"\n".join(lines), partition=queue.partition
                )
        except (KafkaError, AssertionError) as error:
            # aiokafka asserts that a partition exists.
            metrics.PRODUCE_FAILURES.inc()
            log.warning("record refused", topic=queue.topic, lines=len(lines), error=repr(error))
            self._settle(chunks, error)
            await self._replace(producer)
        else:
            self.clock.observe(written, sent_s, time.time())
            metrics.RECORD_EVENTS.observe(len(lines))
            self._settle(chunks, None)

    def _settle(self, chunks: list[Chunk], error: BaseException | None) -> None:
        for chunk in chunks:
            self._add_pending(chunk.project_id, -chunk.size)
            if error is None:
                chunk.acked.set_result(None)
            else:
                chunk.acked.set_exception(error)
                chunk.acked.exception()  # retrieve it, because the caller may have given up

    async def _replace(self, failed: AIOKafkaProducer) -> None:
        """Replace a producer after a failure.

        After a failure, its sequence numbers have a gap, after which the broker accepts no record.
        """
        async with self._replacing:
            is_replaced = self._producer is not failed
            if is_replaced:
                return
            # It is closed when its records in flight to other partitions are done.
            closing = asyncio.create_task(stopped(failed, self._gateway.stop_timeout_s))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            while True:
                try:
                    self._producer = await started(self._new_producer, self._kafka)
                except BrokerUnavailableError as error:
                    log.warning("no record can be sent", error=str(error))
                else:
                    return

    def _new_producer(self) -> AIOKafkaProducer:
        batch_bytes = 2 * self._gateway.record_target_bytes + RECORD_OVERHEAD_BYTES
        return new_producer(self._kafka, batch_bytes=batch_bytes)

    def _add_pending(self, project_id: str, size: int) -> None:
        self._pending.add(project_id, size)
        if self._pending.total:
            self._idle.clear()
        else:
            self._idle.set()
        metrics.PENDING_BYTES.set(self._pending.total)
