"""The control-plane log, whose current records every process keeps in memory.

A writer waits until it has read its own record back. Each new record has its own log key; of
several records with the same id, the first in the log wins. Changes of existing records are
serialized over all processes (``producers.control.exclusive_writer``).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.control.exclusive_writer import ExclusiveWriter, LogRecord
from producers.control.record import Change, ControlRecord, Tombstone
from producers.control.registry import KINDS, ControlKinds
from producers.control.state import ControlState, identity, value_of
from producers.control.view import ControlView, RecordT
from producers.control.write_checks import WriteChecks
from producers.disk import DiskFloor
from producers.errors import (
    ControlConflictError,
    ControlUnavailableError,
    TopicError,
)
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings

WRITE_ATTEMPTS_MAX: Final = 3
STOP_TIMEOUT_S: Final = 2.0
ABORT_OTHERS_AFTER_S: Final = 0.3
"""Time until a record is read back, usually milliseconds; an open transaction delays it."""

log = structlog.get_logger(__name__)


class ControlLog:
    """Read and write control records: projects, keys, prices, budgets, webhooks and limits.

    After ``start``, ``view`` has all records of the log. Reads never wait; writes wait for the log.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        disk: DiskFloor | None = None,
        *,
        kinds: ControlKinds = KINDS,
        only: Collection[type[ControlRecord]] | None = None,
        outlines: bool = False,
    ) -> None:
        """Prepare to read the log of a broker; ``start`` connects.

        Args:
            kafka: settings of the broker, and limits of the log.
            disk: refuses writes while the broker's disk is nearly full; None: no disk is watched.
            kinds: kinds that can be read.
            only: kinds that this process keeps in memory; None: all.
            outlines: keep only the outlines of records, as this process does not serve contents.
        """
        self._kafka = kafka
        self._disk = disk
        self._partition = TopicPartition(kafka.topics.control, 0)
        self._state = ControlState(kinds, only, outlines=outlines)
        self._checks = WriteChecks(self._state, kafka)
        self._subscribers: list[Callable[[Change], None]] = []
        self._reader = LogReader(
            kafka,
            self._partition,
            self._apply,
            isolation="read_committed",  # uncommitted records must have no effect
            on_progress=_show_lag,
        )
        self._writer = ExclusiveWriter(kafka, self._partition, self._reader)
        self._producer: AIOKafkaProducer | None = None

    @property
    def view(self) -> ControlView:
        """Return the current records."""
        return self._state.view

    async def start(self) -> None:
        """Read the whole log, and then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the topic of the log does not exist, or has several partitions.
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
                f"topic {self._partition.topic} must have one partition, but has {len(partitions)}"
            )
            raise TopicError(message)
        await self._reader.start()
        await self.caught_up()

    async def stop(self) -> None:
        """Stop following the log; the view remains unchanged."""
        await self._writer.stop()
        await self._reader.stop()
        if self._producer is not None:
            await stopped(self._producer, STOP_TIMEOUT_S)

    def subscribe(self, callback: Callable[[Change], None]) -> None:
        """Call ``callback`` for each current record now, and for each later change."""
        for record in self.view.records():
            _notify(callback, record)
        self._subscribers.append(callback)

    async def caught_up(self) -> None:
        """Wait until the view has all records that were in the log at the time of the call.

        Raises:
            ControlUnavailableError: they were not read within ``control_write_timeout_s``.
        """
        async with self._in_time():
            await self._reader.caught_up()

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                yield
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log could not be read in time"
            raise ControlUnavailableError(message) from error

    def version_of(self, kind: str, record_id: str) -> int | None:
        """Return the version of a record, which grows with each change; None if there is none."""
        held = self._state.holder(f"{kind}/{record_id}")
        return None if held is None else held.version

    async def put(self, record: ControlRecord, *, expected: int | None = None) -> ControlRecord:
        """Write a record, or replace the one with the same id; return when it has been read back.

        If ``expected`` is given, the existing record must have this version (``version_of``). Of
        several writers that expect the same version, in any process, one succeeds.

        Raises:
            ValueError: this process does not keep records of this kind.
            ControlVersionError: the existing record has another version, or was deleted.
            ControlConflictError: another record has one of its unique keys.
            ControlLimitError: the record is too large, or there are too many records.
            ControlUnavailableError: the log was not written or read in time.
        """
        self._check_kept(record)
        conflict = ControlConflictError(f"{identity(record)}: another writer was first")
        for _ in range(WRITE_ATTEMPTS_MAX):
            if expected is None and self._state.holder(identity(record)) is None:
                try:
                    return await self._create(record)
                except ControlConflictError as error:
                    conflict = error
            elif await self._change(lambda: self._replacement(record, expected)):
                return record
        raise conflict

    async def update(
        self,
        record: type[RecordT],
        record_id: str,
        changed: Callable[[RecordT], RecordT],
        *,
        expected: int | None = None,
    ) -> RecordT | None:
        """Apply ``changed`` to the current version of a record, and write and return the result.

        Return None if there is no such record.

        Raises:
            ControlVersionError: the record does not have the version ``expected``.
            ControlConflictError, ControlLimitError, ControlUnavailableError: as for ``put``.
        """
        written: RecordT | None = None

        def change() -> list[LogRecord]:
            nonlocal written
            held = self.view[record].get(record_id)
            written = None if held is None else changed(held)
            return [] if written is None else self._replacement(written, expected)

        await self._change(change)
        return written

    async def create(self, record: ControlRecord) -> ControlRecord:
        """Write a record if its id is not taken; of several writers, the first in the log wins.

        Raises:
            ValueError: this process does not keep records of its kind.
            ControlConflictError: another record has the id or one of the unique keys.
            ControlLimitError: as for ``put``.
            ControlUnavailableError: as for ``put``.
        """
        self._check_kept(record)
        return await self._create(record)

    async def transact(self, planned: Callable[[], Sequence[Change]]) -> None:
        """Write and delete several records in one transaction, and wait until the view has them.

        ``planned`` returns the new records and the tombstones of those to delete. It is called
        when all earlier records have been read, and no other transaction takes effect in between.
        Readers apply the changes in this order, but never a part of them after a crash of the
        writer. ``planned`` may be called several times; its exceptions are raised.

        Raises:
            ValueError: this process does not keep records of a kind.
            ControlConflictError, ControlLimitError, ControlUnavailableError: as for ``put``.
        """

        def change() -> list[LogRecord]:
            found: list[LogRecord] = []
            for each in planned():
                if isinstance(each, Tombstone):
                    claim = f"{each.kind}/{each.id}"
                    found += [(log_key, None) for log_key in self._state.log_keys(claim)]
                else:
                    found += self._replacement(each, None) or self._addition(each)
            return found

        await self._change(change)

    async def delete(self, kind: str, record_id: str, *, expected: int | None = None) -> bool:
        """Delete a record and wait for its tombstone; return whether the record existed.

        If ``expected`` is given, the record must have this version.

        Raises:
            ControlVersionError: the record has another version.
            ControlUnavailableError: the log was not written or read in time.
        """
        claim = f"{kind}/{record_id}"

        def tombstones() -> list[LogRecord]:
            if expected is not None and self._state.holder(claim) is not None:
                self._checks.check_version(claim, expected)
            # Delete also the creations that lost: one of them would otherwise take effect.
            return [(log_key, None) for log_key in self._state.log_keys(claim)]

        return await self._change(tombstones)

    async def _create(self, record: ControlRecord) -> ControlRecord:
        """Write a record under a new log key; delete it again if another record was first."""
        claim = identity(record)
        if self._state.holder(claim) is not None:
            message = f"{claim} already exists"
            raise ControlConflictError(message)
        ((log_key, value),) = self._addition(record)
        await self._append(log_key, value)
        winner = self._state.holder(claim)
        if winner is not None and winner.log_key == log_key:
            return record
        await self._append(log_key, None)
        message = f"{claim}: another writer was first"
        raise ControlConflictError(message)

    def _check_kept(self, record: ControlRecord) -> None:
        if not self._state.keeps(record.kind):
            raise ValueError(f"this process does not keep records of kind {record.kind!r}")

    def _addition(self, record: ControlRecord) -> list[LogRecord]:
        """Return the log record that adds a record."""
        log_key = f"{identity(record)}/{secrets.token_hex(8)}"
        self._checks.check_unique_keys(record, log_key)
        self._checks.check_limits(record, is_new=True)
        return [(log_key, value_of(record, None))]

    def _replacement(self, record: ControlRecord, expected: int | None) -> list[LogRecord]:
        """Return the log record that replaces a record; an empty list if there is none."""
        self._check_kept(record)
        if expected is not None:
            self._checks.check_version(identity(record), expected)
        held = self._state.holder(identity(record))
        if held is None:
            return []
        self._checks.check_unique_keys(record, held.log_key)
        self._checks.check_limits(record, is_new=False)
        return [(held.log_key, value_of(record, held.born))]

    async def _change(self, change: Callable[[], list[LogRecord]]) -> bool:
        """Write a change of existing records; return whether there was anything to write."""
        self._refuse_when_disk_is_low()
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                offset = await self._writer.write(change)
                if offset is not None:
                    await self._reader.read_up_to(offset + 1)
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log was not written in time"
            raise ControlUnavailableError(message) from error
        return offset is not None

    async def _append(self, log_key: str, value: bytes | None) -> None:
        """Write one log record and wait until the view has it."""
        self._refuse_when_disk_is_low()
        assert self._producer is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                written = await self._producer.send_and_wait(
                    self._partition.topic, value, key=log_key.encode(), partition=0
                )
                await self._read_back(written.offset)
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log was not written in time"
            raise ControlUnavailableError(message) from error

    async def _read_back(self, offset: int) -> None:
        """Wait until the view has the record at an offset, written outside of a transaction."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ABORT_OTHERS_AFTER_S):
                await self._reader.read_up_to(offset + 1)
                return
        await self._writer.abort_before(offset)
        await self._reader.read_up_to(offset + 1)

    def _refuse_when_disk_is_low(self) -> None:
        low = self._disk.reason() if self._disk is not None else None
        if low is not None:
            raise ControlUnavailableError(low)

    def _apply(self, record: ConsumerRecord) -> None:
        self._writer.record_read(record.offset)
        try:
            changes = self._state.apply((record.key or b"").decode(), record.value, record.offset)
        except Exception as error:  # noqa: BLE001  # one record must not stop the others
            # It was written by a newer version or by another program.
            metrics.CONTROL_UNREADABLE.inc()
            log.warning("control record skipped", offset=record.offset, reason=str(error))
            return
        for change in changes:
            for subscriber in self._subscribers:
                _notify(subscriber, change)


def _notify(subscriber: Callable[[Change], None], change: Change) -> None:
    """Pass a change to a subscriber; an exception does not affect the others."""
    try:
        subscriber(change)
    except Exception:
        metrics.CONTROL_UNREADABLE.inc()
        log.exception("control_change_failed", kind=change.kind, id=change.id)


def _show_lag(next_offset: int, end: int) -> None:
    metrics.CONTROL_LAG_RECORDS.set(end - next_offset)


def _count_timeout(error: KafkaError | TimeoutError) -> None:
    if isinstance(error, TimeoutError):
        metrics.LIMIT_REACHED.labels(limit="control_write_timeout_s").inc()
