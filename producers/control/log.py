"""The control-plane log, whose current records every process keeps in memory.

A writer waits until it has read its own record back. A new record has a log key of its own, and of
several with the same id the first in the log wins. Changes of an existing record are serialized
over all processes (``producers.control.exclusive_writer``).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from producers import metrics
from producers.control.exclusive_writer import ExclusiveWriter, LogRecord
from producers.control.log_reader import LogReader
from producers.control.record import Change, ControlRecord
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
from producers.settings import KafkaSettings

WRITE_ATTEMPTS_MAX: Final = 3
STOP_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class ControlLog:
    """Read and write control records: projects, keys, prices, budgets, webhooks.

    Once ``start`` has returned, ``view`` holds everything that was in the log. Reads never wait;
    writes wait for the log.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        disk: DiskFloor | None = None,
        *,
        kinds: ControlKinds = KINDS,
        only: Collection[type[ControlRecord]] | None = None,
    ) -> None:
        """Prepare to read the log of a broker; ``start`` connects.

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
        self._checks = WriteChecks(self._state, kafka)
        self._subscribers: list[Callable[[Change], None]] = []
        self._reader = LogReader(kafka, self._partition, self._apply)
        self._producer: AIOKafkaProducer | None = None
        self._writer: ExclusiveWriter | None = None

    @property
    def view(self) -> ControlView:
        """Return the current records."""
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
        self._writer = ExclusiveWriter(self._kafka, self._partition, self._reader)
        await self._reader.connect()
        async with self._in_time():
            await self._reader.start()

    async def stop(self) -> None:
        """Stop following; the view stays as it is."""
        if self._writer is not None:
            await self._writer.stop()
        await self._reader.stop()
        if self._producer is not None:
            await stopped(self._producer, STOP_TIMEOUT_S)

    def subscribe(self, callback: Callable[[Change], None]) -> None:
        """Call ``callback`` for each current record now, and for each change from now on."""
        for record in self.view.records():
            _notify(callback, record)
        self._subscribers.append(callback)

    async def caught_up(self) -> None:
        """Return once the view holds everything that was in the log at the time of the call.

        Raises:
            ControlUnavailableError: not within ``control_write_timeout_s``.
        """
        async with self._in_time():
            await self._reader.read_to_the_end()

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
        """Return the version of a record, for ``put``: a number that grows with each change."""
        held = self._state.holder(f"{kind}/{record_id}")
        return None if held is None else held.version

    async def put(self, record: ControlRecord, *, expected: int | None = None) -> ControlRecord:
        """Write ``record`` in place of the one with its id, if any; return once it was read back.

        With ``expected`` only if that one is at this version (``version_of``): of several writers
        that expect the same version, in any process, one succeeds.

        Raises:
            ValueError: this process does not keep records of its kind.
            ControlVersionError: the record is at another version, or was deleted.
            ControlConflictError: another record holds one of its unique keys.
            ControlLimitError: it is too large, or there are too many records.
            ControlUnavailableError: the log did not answer in time.
        """
        if not self._state.keeps(record.kind):
            raise ValueError(f"this process does not keep records of kind {record.kind!r}")
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
        """Write ``changed`` of a record's current version; None if there is no such record.

        Raises:
            ControlVersionError: it is not at the version ``expected``.
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
        """Write ``record`` if its id is not taken; of several writers, the first in the log wins.

        Raises:
            ValueError: this process does not keep records of its kind.
            ControlConflictError: the id or one of its unique keys is taken.
            ControlLimitError: as for ``put``.
            ControlUnavailableError: as for ``put``.
        """
        if not self._state.keeps(record.kind):
            raise ValueError(f"this process does not keep records of kind {record.kind!r}")
        return await self._create(record)

    async def delete(self, kind: str, record_id: str, *, expected: int | None = None) -> bool:
        """Remove a record; return whether there was one, once its tombstone was read back.

        With ``expected`` only if it is at this version.

        Raises:
            ControlVersionError: the record is at another version.
            ControlUnavailableError: the log did not answer in time.
        """
        claim = f"{kind}/{record_id}"

        def tombstones() -> list[LogRecord]:
            if expected is not None and self._state.holder(claim) is not None:
                self._checks.refuse_other_version(claim, expected)
            # Deletes also the creations that lost: without the winner, the next would take effect.
            return [(log_key, None) for log_key in self._state.log_keys(claim)]

        return await self._change(tombstones)

    async def _create(self, record: ControlRecord) -> ControlRecord:
        """Write a record under a new log key, and delete it again if another one was first."""
        claim = identity(record)
        if self._state.holder(claim) is not None:
            message = f"{claim} exists already"
            raise ControlConflictError(message)
        log_key = f"{claim}/{secrets.token_hex(8)}"
        self._checks.refuse_taken_claims(record, log_key)
        self._checks.refuse_beyond_limits(record, is_new=True)
        await self._append(log_key, value_of(record, None))
        winner = self._state.holder(claim)
        if winner is not None and winner.log_key == log_key:
            return record
        await self._append(log_key, None)
        message = f"{claim}: another writer was first"
        raise ControlConflictError(message)

    def _replacement(self, record: ControlRecord, expected: int | None) -> list[LogRecord]:
        """Return the log record that replaces a record; none if there is no such record."""
        if expected is not None:
            self._checks.refuse_other_version(identity(record), expected)
        held = self._state.holder(identity(record))
        if held is None:
            return []
        self._checks.refuse_taken_claims(record, held.log_key)
        self._checks.refuse_beyond_limits(record, is_new=False)
        return [(held.log_key, value_of(record, held.born))]

    async def _change(self, change: Callable[[], list[LogRecord]]) -> bool:
        """Write a change of records that exist; return whether there was anything to write."""
        self._refuse_when_disk_is_low()
        assert self._writer is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                offset = await self._writer.write(change)
                if offset is not None:
                    await self._reader.read_up_to(offset + 1)
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log did not take the record in time"
            raise ControlUnavailableError(message) from error
        return offset is not None

    async def _append(self, log_key: str, value: bytes | None) -> None:
        """Write one log record and wait until the view holds it."""
        self._refuse_when_disk_is_low()
        assert self._producer is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                written = await self._producer.send_and_wait(
                    self._partition.topic, value, key=log_key.encode(), partition=0
                )
                await self._reader.read_up_to(written.offset + 1)
        except (KafkaError, TimeoutError) as error:
            _count_timeout(error)
            message = "the control-plane log did not take the record in time"
            raise ControlUnavailableError(message) from error

    def _refuse_when_disk_is_low(self) -> None:
        low = self._disk.reason() if self._disk is not None else None
        if low is not None:
            raise ControlUnavailableError(low)

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            changes = self._state.apply((key or b"").decode(), value, offset)
        except Exception as error:  # noqa: BLE001  # one record must not stop the others
            # A newer version or another program wrote it.
            metrics.CONTROL_UNREADABLE.inc()
            log.warning("control record skipped", offset=offset, reason=str(error))
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


def _count_timeout(error: KafkaError | TimeoutError) -> None:
    if isinstance(error, TimeoutError):
        metrics.LIMIT_REACHED.labels(limit="control_write_timeout_s").inc()
