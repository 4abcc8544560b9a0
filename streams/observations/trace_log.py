"""Read and write the log of traces (``streams.core.observations.trace_log``) of a partition."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from producers.kafka.clients import new_admin, started, stopped
from producers.kafka.log_cursor import new_scan_consumer, records_between
from producers.kafka.topics import Topics
from producers.settings import KafkaSettings
from streams.core.observations.trace_log import (
    HASH_BYTES,
    MARKER,
    LoggedTraces,
    LogRecord,
    encode_hashes,
    hashes_of_rows,
    headers_of,
    logged_traces,
)
from streams.observations import metrics
from streams.observations.known_traces import KnownTraces
from streams.observations.ports import History, Output
from streams.observations.settings import StreamsSettings
from streams.runtime.event_wait import set_within
from streams.runtime.log_reading import records_from

STOP_TIMEOUT_S: Final = 2.0
RECORD_HASHES_MAX: Final = 64 * 1024
"""Hashes of one record: 512 KiB."""

log = structlog.get_logger(__name__)


class TraceLog:
    """The writer of the log of traces of one partition."""

    def __init__(
        self,
        output: Output,
        history: History,
        topics: Topics,
        partition: int,
        settings: StreamsSettings,
        known: KnownTraces,
        traces_to: int,
    ) -> None:
        """Create a writer.

        Args:
            output: sends records.
            history: deletes records that are not needed any more.
            topics: names of the topics.
            partition: the number of the partition.
            settings: limits.
            known: the traces that exist when the partition is restored.
            traces_to: offset of ``traces`` before which these are all traces.
        """
        self._output = output
        self._history = history
        self._topic = topics.trace_log
        self._partition = partition
        self._interval_s = settings.trace_log_interval_s
        self._seen = known.seen
        self._begin = known.begin
        self._pending = known.unlogged
        self._traces_to = traces_to
        self._full = asyncio.Event()

    def written(self, hashes: Iterable[int], traces_to: int) -> None:
        """Add new traces whose rows are written; all others have rows after ``traces_to``."""
        self._pending.extend(hashes)
        self._traces_to = traces_to
        if len(self._pending) >= RECORD_HASHES_MAX:
            self._full.set()

    async def run(self) -> None:
        """Write new traces at intervals, until cancelled. If needed, first write all traces.

        Raises:
            KafkaError: the broker refused a record.
        """
        if self._begin is None:
            await self._write_all()
        while True:
            await set_within(self._full, self._interval_s)
            self._full.clear()
            if self._pending and not self._seen.is_full:
                await self._write_pending()

    async def _write_all(self) -> None:
        """Write all traces, and delete earlier records."""
        begin = await self._send(b"", [(MARKER, b"1")])
        for hashes in self._seen.hashes(RECORD_HASHES_MAX):
            await self._send(encode_hashes(hashes))
        self._begin = begin
        await self._write_pending()
        try:
            await self._history.delete_logged(self._partition, begin)
        except (KafkaError, OSError) as error:
            log.warning("trace_log_not_shortened", partition=self._partition, reason=repr(error))

    async def _write_pending(self) -> None:
        assert self._begin is not None, "the log has no begin"
        hashes, traces_to = self._pending, self._traces_to
        self._pending = array("Q")
        for first in range(0, len(hashes), RECORD_HASHES_MAX):
            part = hashes[first : first + RECORD_HASHES_MAX]
            if first + RECORD_HASHES_MAX < len(hashes):
                await self._send(encode_hashes(part))
            else:
                await self._send(encode_hashes(part), headers_of(self._begin, traces_to))
        if not hashes:
            await self._send(b"", headers_of(self._begin, traces_to))
        metrics.TRACES_LOGGED.inc(len(hashes))

    async def _send(self, value: bytes, headers: Iterable[tuple[str, bytes]] = ()) -> int:
        sent = await self._output.send(self._topic, self._partition, value, list(headers))
        return await sent


async def read_logged_traces(kafka: KafkaSettings, partition: int) -> LoggedTraces | None:
    """Read the log of traces; None if it is not complete.

    Raises:
        BrokerUnavailableError, KafkaError: the broker does not answer.
    """
    log_of_partition = TopicPartition(kafka.topics.trace_log, partition)
    records = [
        LogRecord(record.offset, record.value or b"", record.headers)
        async for record in records_from(kafka, log_of_partition)
    ]
    return logged_traces(records, records[0].offset) if records else None


async def read_traces_between(
    kafka: KafkaSettings, partition: int, begin: int, end: int, records_max: int
) -> array[int] | None:
    """Return the traces with rows between two offsets of ``traces``; None if some are unknown.

    Raises:
        BrokerUnavailableError, KafkaError: the broker does not answer.
    """
    if end - begin > records_max:
        metrics.LIMIT_REACHED.labels("trace_log_gap_records_max").inc()
        return None
    rows = TopicPartition(kafka.topics.traces, partition)
    consumer: AIOKafkaConsumer = await started(lambda: new_scan_consumer(kafka), kafka)
    hashes = array("Q")
    try:
        if (await consumer.beginning_offsets([rows]))[rows] > begin:
            return None
        async for record in records_between(
            consumer, rows, begin, end, stall_timeout_s=kafka.log_stall_timeout_s
        ):
            found = hashes_of_rows(record.value or b"")
            if found is None:
                return None
            hashes.extend(found)
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
    return hashes


async def delete_logged_before(kafka: KafkaSettings, partition: int, offset: int) -> None:
    """Delete the records of the log of traces before an offset.

    Raises:
        KafkaError: the broker does not answer.
    """
    admin: AIOKafkaAdminClient = new_admin(kafka)
    await admin.start()
    try:
        log_of_partition = TopicPartition(kafka.topics.trace_log, partition)
        await admin.delete_records({log_of_partition: RecordsToDelete(offset)})
    finally:
        await admin.close()


assert array("Q").itemsize == HASH_BYTES
