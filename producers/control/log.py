"""The control-plane log: every process tails it into memory, and a writer waits until it has read its own record back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from producers import metrics
from producers.control.record import Change, ControlRecord
from producers.control.registry import KINDS, ControlKinds
from producers.control.state import ControlState, claims_of, identity, value_of
from producers.control.view import ControlView
from producers.disk import DiskFloor
from producers.errors import (
    ControlConflictError,
    ControlLimitError,
    ControlUnavailableError,
    TopicError,
)
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from producers.settings import KafkaSettings

POLL_MS: Final = 500
# The broker answers a connection's requests one by one: asking for the end of the log waits for the fetch before it.
FETCH_WAIT_MS: Final = 150
RECONNECT_S: Final = 0.5
WRITE_ATTEMPTS_MAX: Final = 3
STOP_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class ControlLog:
    """Projects, keys, prices, budgets and webhooks, the same in every process.

    After ``start`` returns, ``view`` holds everything that was in the log. Reads never wait; writes wait for the log.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        disk: DiskFloor | None = None,
        *,
        kinds: ControlKinds = KINDS,
        only: Collection[type[ControlRecord]] | None = None,
    ) -> None:
        """Follow the log of a broker.

        Args:
            kafka: where the log is, and its limits.
            disk: refuses writes while the broker's disk is nearly full; None: none is watched.
            kinds: the kinds that this version can read.
            only: the kinds that this process keeps in memory; None: all of them.
        """
        self._kafka = kafka
        self._disk = disk
        self._partition = TopicPartition(kafka.topics.control, 0)
        self._state = ControlState(kinds, only)
        self._subscribers: list[Callable[[Change], None]] = []
        self._next_offset = 0
        self._advanced = asyncio.Condition()
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._tail: asyncio.Task[None] | None = None

    @property
    def view(self) -> ControlView:
        return self._state.view

    async def start(self) -> None:
        """Read the whole log, then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the log's topic does not exist.
        """
        self._producer = await started(
            lambda: new_producer(self._kafka, batch_bytes=self._kafka.control_record_max_bytes),
            self._kafka,
        )
        try:
            partitions = await self._producer.partitions_for(self._partition.topic)
        except KafkaError as error:
            message = f"topic {self._partition.topic} does not exist: run `tracemill migrate`"
            raise TopicError(message) from error
        if partitions != {0}:
            message = (
                f"topic {self._partition.topic} must have one partition, it has {len(partitions)}"
            )
            raise TopicError(message)
        self._consumer = await self._connected()
        async with self._in_time():
            # Before the first fetch: the broker answers a connection's requests one by one.
            end = await self._end_offset()
            self._begin_to_read(self._consumer)
            self._tail = asyncio.create_task(self._follow(), name="control-log")
            await self._read_up_to(end)

    async def stop(self) -> None:
        """Stop following; the view stays as it is."""
        if self._tail is not None:
            self._tail.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tail
        if self._consumer is not None:
            await stopped(self._consumer, STOP_TIMEOUT_S)
        if self._producer is not None:
            await stopped(self._producer, STOP_TIMEOUT_S)

    def subscribe(self, callback: Callable[[Change], None]) -> None:
        """Call ``callback`` for every record there is, and from now on for every record written and every tombstone."""
        for record in self.view.records():
            _notify(callback, record)
        self._subscribers.append(callback)

    async def caught_up(self) -> None:
        """Return once everything that was in the log at the time of the call is in the view.

        Raises:
            ControlUnavailableError: not within ``control_write_timeout_s``.
        """
        async with self._in_time():
            await self._read_up_to(await self._end_offset())

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                yield
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log could not be read in time"
            raise ControlUnavailableError(message) from error

    async def put(self, record: ControlRecord) -> ControlRecord:
        """Write ``record``, replacing the one with its id if there is one; return once it was read back.

        Raises:
            ValueError: this process does not keep records of its kind.
            ControlConflictError: another record holds one of its unique keys.
            ControlLimitError: it is too large, or there are too many records.
            ControlUnavailableError: the log did not answer in time.
        """
        return await self._write(record, only_new=False)

    async def create(self, record: ControlRecord) -> ControlRecord:
        """Write ``record`` if its id is free. Of several writers, the first in the log wins and the others are told.

        Raises:
            ControlConflictError: the id or one of its unique keys is taken.
            ControlLimitError: as for ``put``.
            ControlUnavailableError: as for ``put``.
        """
        return await self._write(record, only_new=True)

    async def delete(self, kind: str, record_id: str) -> bool:
        """Remove a record; return whether there was one, once its tombstone was read back.

        Raises:
            ControlUnavailableError: the log did not answer in time.
        """
        # Creations that lost go too: without the winner, the next of them would come to life.
        log_keys = self._state.log_keys(f"{kind}/{record_id}")
        for log_key in log_keys:
            await self._append(log_key, None)
        return bool(log_keys)

    async def _write(self, record: ControlRecord, *, only_new: bool) -> ControlRecord:
        if not self._state.keeps(record.kind):
            raise ValueError(f"this process does not keep records of kind {record.kind!r}")
        for _ in range(WRITE_ATTEMPTS_MAX):
            held = self._state.holder(identity(record))
            if held is not None and only_new:
                message = f"{identity(record)} exists already"
                raise ControlConflictError(message)
            log_key = held.log_key if held else f"{identity(record)}/{secrets.token_hex(8)}"
            self._refuse_taken_claims(record, log_key)
            self._refuse_beyond_limits(record, is_new=held is None)
            await self._append(log_key, value_of(record, held.born if held else None))
            winner = self._state.holder(identity(record))
            if winner is not None and winner.log_key == log_key:
                return record
            if held is None:
                await self._append(log_key, None)
        message = f"{identity(record)}: another writer was first"
        raise ControlConflictError(message)

    def _refuse_taken_claims(self, record: ControlRecord, log_key: str) -> None:
        for claim in claims_of(record)[1:]:
            holder = self._state.holder(claim)
            if holder is not None and holder.log_key != log_key:
                message = f"{claim} is taken"
                raise ControlConflictError(message)

    def _refuse_beyond_limits(self, record: ControlRecord, *, is_new: bool) -> None:
        if is_new and len(self._state) >= self._kafka.control_records_max:
            metrics.LIMIT_REACHED.labels(limit="control_records_max").inc()
            message = f"the control plane holds {len(self._state)} records (control_records_max)"
            raise ControlLimitError(message)
        size = len(value_of(record, None))
        if size > self._kafka.control_record_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="control_record_max_bytes").inc()
            message = f"{identity(record)} takes {size} bytes, {self._kafka.control_record_max_bytes} are allowed"
            raise ControlLimitError(message)

    async def _append(self, log_key: str, value: bytes | None) -> None:
        """Write one log record and wait until the view has it."""
        low = self._disk.reason() if self._disk is not None else None
        if low is not None:
            raise ControlUnavailableError(low)
        assert self._producer is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                written = await self._producer.send_and_wait(
                    self._partition.topic, value, key=log_key.encode(), partition=0
                )
                await self._read_up_to(written.offset + 1)
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log did not take the record in time"
            raise ControlUnavailableError(message) from error

    async def _read_up_to(self, offset: int) -> None:
        async with self._advanced:
            await self._advanced.wait_for(lambda: self._next_offset >= offset)

    async def _follow(self) -> None:
        """Apply what comes; whatever breaks the connection, connect again and go on where it stopped."""
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await self._connected()
                    self._begin_to_read(self._consumer)
                await self._poll(self._consumer)
            except Exception as error:  # noqa: BLE001  # this loop must outlive every failure of the connection
                log.warning("control-plane log lost, connecting again", error=repr(error))
                metrics.CONTROL_RECONNECTS.inc()
                if self._consumer is not None:
                    await stopped(self._consumer, STOP_TIMEOUT_S)
                    self._consumer = None
                await asyncio.sleep(RECONNECT_S)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
        for message in polled.get(self._partition, ()):
            self._apply(message.key, message.value, message.offset)
            self._next_offset = message.offset + 1
        # Compaction leaves gaps: the position counts, not the last record.
        position = await consumer.position(self._partition)
        async with self._advanced:
            self._next_offset = max(self._next_offset, position)
            self._advanced.notify_all()
        end = consumer.highwater(self._partition) or position
        metrics.CONTROL_LAG_RECORDS.set(max(0, end - position))

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            changes = self._state.apply((key or b"").decode(), value, offset)
        except Exception as error:  # noqa: BLE001  # whatever a record holds, the others count
            # Written by a newer version, or by hand.
            metrics.CONTROL_UNREADABLE.inc()
            log.warning("control record skipped", offset=offset, reason=str(error))
            return
        for change in changes:
            for subscriber in self._subscribers:
                _notify(subscriber, change)

    async def _connected(self) -> AIOKafkaConsumer:
        consumer: AIOKafkaConsumer = await started(
            lambda: new_consumer(
                self._kafka,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_WAIT_MS,
                request_timeout_ms=int(self._kafka.request_timeout_s * 1000),
            ),
            self._kafka,
        )
        return consumer

    def _begin_to_read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        consumer.seek(self._partition, self._next_offset)

    async def _end_offset(self) -> int:
        if self._consumer is None:
            message = "the control-plane log is being connected again"
            raise ControlUnavailableError(message)
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets([self._partition])
        return ends[self._partition]


def _notify(subscriber: Callable[[Change], None], change: Change) -> None:
    """Pass a change to a subscriber; one that raises must not stop the log for the others."""
    try:
        subscriber(change)
    except Exception:
        metrics.CONTROL_UNREADABLE.inc()
        log.exception("control_change_failed", kind=change.kind, id=change.id)


def _count_timeout(error: KafkaError | TimeoutError) -> None:
    if isinstance(error, TimeoutError):
        metrics.LIMIT_REACHED.labels(limit="control_write_timeout_s").inc()
