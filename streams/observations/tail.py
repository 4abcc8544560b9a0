"""Read the tail of a partition's own output, to continue where it ended.

The commit is the record of ``observations`` with the highest ``source_offset`` in its headers. Rows
of observations after it are ignored. A suspended worker may append commits after those of its
successor. Each commit follows all rows that it covers, so the highest one is valid whichever worker
wrote it.

The latest row of a trace counts, even if it is ahead of the commit: it may be the only row that
contains some records. A trace whose observations were not all read is detected by the row's number
of observations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import ObservationRow, TraceRow
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import new_scan_consumer, records_between
from producers.kafka.topics import Topics
from producers.settings import KafkaSettings
from streams.observations import metrics
from streams.observations.ports import Ends, Restored
from streams.observations.settings import StreamsSettings
from streams.observations.writer import SOURCE_OFFSET, TRACE_VERSION

log = structlog.get_logger(__name__)

STRIDE: Final = 64
STOP_TIMEOUT_S: Final = 2.0
DIGITS_MAX: Final = 20
"""Maximum length of a number in a header."""

_observations = msgspec.json.Decoder(ObservationRow)
_traces = msgspec.json.Decoder(TraceRow)
RowT = TypeVar("RowT", ObservationRow, TraceRow)


@dataclass(slots=True)
class Tail:
    """Records from ``begin`` to ``end``, in order."""

    begin: int
    end: int
    records: list[ConsumerRecord]


async def restore(kafka: KafkaSettings, settings: StreamsSettings, partition: int) -> Restored:
    """Read the end of the output of a partition.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        KafkaError: the broker stopped answering.
    """
    topics = kafka.topics
    consumer: AIOKafkaConsumer = await started(
        lambda: new_scan_consumer(kafka, max_partition_fetch_bytes=4 * 1024 * 1024), kafka
    )
    stall_timeout_s = kafka.log_stall_timeout_s
    try:
        observations = await read_tail(
            consumer,
            TopicPartition(topics.observations, partition),
            settings,
            commit_needed=True,
            stall_timeout_s=stall_timeout_s,
        )
        traces = await read_tail(
            consumer,
            TopicPartition(topics.traces, partition),
            settings,
            commit_needed=False,
            stall_timeout_s=stall_timeout_s,
        )
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
    return restored_of(observations, traces, topics)


def restored_of(observations: Tail, traces: Tail, topics: Topics) -> Restored:
    resume_after = -1
    trace_version: int | None = None
    committed = 0
    for index, record in enumerate(observations.records, start=1):
        offset = source_offset(record.headers)
        if offset is not None:
            # Of several commits with the same offset, the first with a version counts.
            if offset > resume_after or (offset == resume_after and trace_version is None):
                resume_after, trace_version = offset, _header(record.headers, TRACE_VERSION)
            committed = index
    return Restored(
        resume_after,
        _rows(_traces, [record.value for record in traces.records], topics.traces),
        _rows(
            _observations,
            [record.value for record in observations.records[:committed]],
            topics.observations,
        ),
        Ends(observations.begin, traces.begin),
        Ends(observations.end, traces.end),
        trace_version,
    )


def source_offset(headers: Iterable[tuple[str, bytes]]) -> int | None:
    """Return the source offset of a commit; None for records that are no commit."""
    return _header(headers, SOURCE_OFFSET)


def _header(headers: Iterable[tuple[str, bytes]], wanted: str) -> int | None:
    """Return the number in the header ``wanted``; None if it is missing or invalid."""
    for name, value in headers:
        if name == wanted:
            digits = (value or b"").removeprefix(b"-")  # -1: a commit without source records
            return int(value) if digits.isdigit() and len(value) <= DIGITS_MAX else None
    return None


def _rows(decoder: msgspec.json.Decoder[RowT], values: Iterable[bytes], topic: str) -> list[RowT]:
    """Decode the rows of records; leave out rows that cannot be decoded.

    Their traces are read back from the store when they are needed.
    """
    rows: list[RowT] = []
    for value in values:
        try:
            rows += decoder.decode_lines(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            rows += _readable(decoder, value, topic)
    return rows


def _readable(decoder: msgspec.json.Decoder[RowT], value: bytes, topic: str) -> Iterator[RowT]:
    for line in value.split(b"\n"):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            metrics.UNREADABLE_ROWS.inc()
            log.warning("row_unreadable", topic=topic, reason=str(error))


async def read_tail(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    settings: StreamsSettings,
    *,
    commit_needed: bool,
    stall_timeout_s: float,
) -> Tail:
    """Read the end of a partition, up to the limits, but at least from the last commit on.

    Raises:
        KafkaError: the broker did not return the records, or retention just removed some of them.
    """
    end = (await consumer.end_offsets([partition]))[partition]
    first = (await consumer.beginning_offsets([partition]))[partition]
    records: list[ConsumerRecord] = []
    lower, stride, rows, size = end, STRIDE, 0, 0
    found_commit = not commit_needed
    oldest_ms: int | None = None
    while lower > first:
        upper, lower = lower, max(first, lower - stride)
        stride *= 2
        read = [
            each
            async for each in records_between(
                consumer, partition, lower, upper, stall_timeout_s=stall_timeout_s
            )
            if each.value is not None  # workers write no others
        ]
        records = read + records
        rows += sum(record.value.count(b"\n") + 1 for record in read)
        size += sum(len(record.value) for record in read)
        found_commit = found_commit or any(
            source_offset(record.headers) is not None for record in read
        )
        if records and oldest_ms is None:
            oldest_ms = records[-1].timestamp - int(settings.restore_age_max_s * 1000)
        too_old = oldest_ms is not None and records[0].timestamp < oldest_ms
        reached = [
            limit
            for limit, is_reached in (
                ("restore_rows_max", rows >= settings.restore_rows_max),
                ("restore_bytes_max", size >= settings.restore_bytes_max),
                ("restore_age_max_s", too_old),
            )
            if is_reached
        ]
        if found_commit and reached:
            metrics.LIMIT_REACHED.labels(reached[0]).inc()
            break
    return Tail(lower, end, records)
