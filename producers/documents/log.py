"""Follow the topic ``documents`` from where the store ends, and write to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.disk import DiskFloor
from producers.documents.record import (
    DOCUMENTS,
    DocumentRecord,
    log_key_of,
    record_of,
    value_of,
)
from producers.documents.settings import DocumentSettings
from producers.documents.tail import DocumentTail
from producers.errors import (
    BrokerUnavailableError,
    ControlUnavailableError,
    TooLargeError,
    TopicError,
)
from producers.kafka.clients import (
    AdminClient,
    new_admin,
    new_consumer,
    new_producer,
    started,
    stopped,
)
from producers.kafka.consumer_groups import ConsumerGroups
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 2.0
BATCH_BYTES: Final = 256 * 1024

log = structlog.get_logger(__name__)


class DocumentLog:
    """The documents that the store may not have: after ``start``, ``tail`` follows the topic."""

    def __init__(
        self, kafka: KafkaSettings, settings: DocumentSettings, disk: DiskFloor | None = None
    ) -> None:
        """Prepare to follow the topic; ``start`` connects.

        ``disk`` refuses writes while the broker's disk is nearly full; None: no disk is watched.
        """
        self.tail = DocumentTail()
        self._kafka = kafka
        self._settings = settings
        self._disk = disk
        self._partition = TopicPartition(kafka.topics.of(DOCUMENTS), 0)
        self._reader: LogReader | None = None
        self._producer: AIOKafkaProducer | None = None
        self._admin: AdminClient | None = None
        self._evicting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the records that the store may not have, and then follow the topic.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the topic does not exist.
        """
        kafka = self._kafka
        self._reader = LogReader(
            kafka,
            self._partition,
            self._apply,
            isolation="read_uncommitted",
            begin=await self._begin(),
            on_progress=_show_lag,
            disconnected_max_s=kafka.broker_wait_s,
        )
        self._producer = await started(lambda: new_producer(kafka, batch_bytes=BATCH_BYTES), kafka)
        await self._reader.start()
        await self._reader.caught_up()
        self._evicting = asyncio.create_task(self._evict(), name="evict documents")

    async def stop(self) -> None:
        """Stop following the topic; the tail remains unchanged."""
        if self._evicting is not None:
            self._evicting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._evicting
        if self._reader is not None:
            await self._reader.stop()
        for client in (self._producer, self._admin):
            if client is not None:
                await stopped(client, STOP_TIMEOUT_S)

    async def caught_up(self) -> bool:
        """Wait until the tail has all records that were acknowledged before the call.

        Return whether it has; it may not while the broker does not answer.
        """
        assert self._reader is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._settings.read_wait_s):
                await self._reader.caught_up()
        except (TimeoutError, KafkaError, BrokerUnavailableError, TopicError):
            metrics.LIMIT_REACHED.labels(limit="documents_read_wait_s").inc()
            return False
        return True

    async def append(self, records: Sequence[DocumentRecord]) -> list[bool]:
        """Write revisions, wait until the tail has them, and return whether each took effect.

        A revision has no effect if another record of the document with the same or a higher
        revision is before it in the log.

        Raises:
            TooLargeError: a record is larger than ``record_max_bytes``; none was written.
            ControlUnavailableError: they were not written or read back in time; some of them may
                have been.
        """
        values = [value_of(each) for each in records]
        self._check(values)
        try:
            async with asyncio.timeout(self._kafka.control_write_timeout_s):
                return await self._append(records, values)
        except (KafkaError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                metrics.LIMIT_REACHED.labels(limit="control_write_timeout_s").inc()
            raise ControlUnavailableError("the document was not written in time") from error

    async def _append(self, records: Sequence[DocumentRecord], values: list[bytes]) -> list[bool]:
        assert self._producer is not None, "start() comes first"
        assert self._reader is not None
        sent = [
            await self._producer.send(
                self._partition.topic, value, key=log_key_of(record.key), partition=0
            )
            for record, value in zip(records, values, strict=True)
        ]
        offsets = [written.offset for written in await asyncio.gather(*sent)]
        await self._reader.read_up_to(max(offsets, default=-1) + 1)
        return [self.tail.has_won(offset) for offset in offsets]

    def _check(self, values: list[bytes]) -> None:
        low = self._disk.reason() if self._disk is not None else None
        if low is not None:
            raise ControlUnavailableError(low)
        longest = max(map(len, values), default=0)
        if longest > self._settings.record_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="documents_record_max_bytes").inc()
            message = (
                f"the document has {longest} bytes, and at most {self._settings.record_max_bytes}"
                " are allowed (documents_record_max_bytes)"
            )
            raise TooLargeError(message)
        if self.tail.size_bytes > self._settings.tail_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="documents_tail_max_bytes").inc()
            message = "too many documents are not stored yet (documents_tail_max_bytes)"
            raise ControlUnavailableError(message)

    def _apply(self, record: ConsumerRecord) -> None:
        try:
            document = record_of(record.value)
        except ValueError as error:  # written by another program or a newer version
            metrics.DOCUMENTS_UNREADABLE.inc()
            log.warning("document_skipped", offset=record.offset, reason=str(error)[:300])
            return
        now_s = asyncio.get_running_loop().time()
        self.tail.apply(document, record.offset, len(record.value or b""), now_s)
        metrics.DOCUMENTS_TAIL_BYTES.set(self.tail.size_bytes)

    async def _evict(self) -> None:
        """Evict stored records periodically; without records, the broker is not queried."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.eviction_interval_s)
            if not self.tail:
                continue
            try:
                stored_up_to = await self._stored_up_to()
            except BrokerUnavailableError as error:
                log.info("documents_not_evicted", reason=str(error)[:300])
                continue
            self.tail.evict(
                stored_up_to=stored_up_to or 0, applied_before_s=clock() - self._settings.kept_s
            )
            metrics.DOCUMENTS_TAIL_BYTES.set(self.tail.size_bytes)

    async def _stored_up_to(self) -> int | None:
        """Return the offset before which all records are stored; None if the sink never ran."""
        if self._admin is None:
            self._admin = await started(lambda: new_admin(self._kafka), self._kafka)
        try:
            async with asyncio.timeout(self._kafka.request_timeout_s):
                groups = ConsumerGroups(self._admin)
                committed = await groups.committed(self._kafka.topics.sink_group)
        except (KafkaError, TimeoutError) as error:
            admin, self._admin = self._admin, None
            await stopped(admin, STOP_TIMEOUT_S)
            message = f"the broker at {self._kafka.broker} did not return offsets: {error!r}"
            raise BrokerUnavailableError(message) from error
        offset = committed.get(self._partition, -1)
        return offset if offset >= 0 else None

    async def _begin(self) -> int | None:
        """Return the offset from which the tail begins; None: the beginning of the log.

        It has all records of the last ``kept_s``, too, because later records can lose to them.
        """
        stored_up_to = await self._stored_up_to()
        if stored_up_to is None:
            return None
        self.tail.stored_up_to = stored_up_to
        consumer = await started(lambda: new_consumer(self._kafka), self._kafka)
        try:
            since_ms = int((time.time() - self._settings.kept_s) * 1_000)
            found = await consumer.offsets_for_times({self._partition: since_ms})
        except KafkaError as error:
            raise BrokerUnavailableError(f"offsets by time: {error!r}") from error
        finally:
            await stopped(consumer, STOP_TIMEOUT_S)
        recent = found.get(self._partition)
        return stored_up_to if recent is None else min(stored_up_to, recent.offset)


def _show_lag(next_offset: int, end: int) -> None:
    metrics.DOCUMENTS_LAG_RECORDS.set(end - next_offset)
