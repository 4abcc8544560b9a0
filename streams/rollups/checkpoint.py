"""Encode and read the checkpoints of stage 2: headers of records on ``windows``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import SpendRow, WindowRow
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import WhenTruncated, new_scan_consumer, records_between
from producers.settings import KafkaSettings
from streams.core.rollups.checkpoint_choice import index_of_latest, is_first
from streams.core.rollups.fold import Checkpoint, with_rows_beyond, with_unknown_horizons

log = structlog.get_logger(__name__)

Headers = list[tuple[str, bytes]]

INPUT_OFFSET: Final = "input_offset"
APPLIED: Final = "applied"
HORIZONS: Final = "horizons"
SPEND_TO: Final = "spend_to"
VERSION_BASE: Final = "version_base"

FIRST_STEP: Final = 16
STOP_TIMEOUT_S: Final = 2.0

_windows = msgspec.json.Decoder(WindowRow)
_spend = msgspec.json.Decoder(SpendRow)


def headers_of(checkpoint: Checkpoint, spend_to: int) -> Headers:
    """Return the headers of a checkpoint; ``spend_to`` is the end of its flush in ``spend``."""
    horizons = (checkpoint.windows_horizon_s, checkpoint.spend_horizon_s)
    return [
        (INPUT_OFFSET, str(checkpoint.input_offset).encode()),
        (APPLIED, msgspec.json.encode(checkpoint.applied)),
        (HORIZONS, msgspec.json.encode(horizons)),
        (SPEND_TO, str(spend_to).encode()),
        (VERSION_BASE, str(checkpoint.version_base).encode()),
    ]


def checkpoint_of_record(record: ConsumerRecord) -> tuple[Checkpoint, int] | None:
    """Return the checkpoint of a record and the end of its flush in ``spend``, or None.

    Raises:
        msgspec.DecodeError: a header is invalid for this version.
    """
    headers = dict(record.headers)
    if INPUT_OFFSET not in headers:
        return None
    horizons = msgspec.json.decode(headers[HORIZONS], type=tuple[int | None, int | None])
    checkpoint = Checkpoint(
        input_offset=int(headers[INPUT_OFFSET]),
        applied=msgspec.json.decode(headers[APPLIED], type=dict[int, tuple[int, list[str]]]),
        version_base=int(headers[VERSION_BASE]),
        windows_horizon_s=horizons[0],
        spend_horizon_s=horizons[1],
    )
    return checkpoint, int(headers[SPEND_TO])


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a partition, read from its output topics.

    Attributes:
        checkpoint: the checkpoint to continue from, with its horizons extended by later rows; None
            if there is none.
        is_new: whether both output partitions are empty and always were.
        ends: end offsets of the partitions of windows and spend.
    """

    checkpoint: Checkpoint | None
    is_new: bool
    ends: dict[TopicPartition, int]


async def read_progress(kafka: KafkaSettings, partition: int) -> Progress:
    """Read the last checkpoint of a partition.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        KafkaError: the broker stopped answering.
    """
    windows = TopicPartition(kafka.topics.windows, partition)
    spend = TopicPartition(kafka.topics.spend, partition)
    consumer: AIOKafkaConsumer = await started(lambda: new_scan_consumer(kafka), kafka)
    # Retention may have removed records after the checkpoint.
    read = partial(
        records_between,
        consumer,
        stall_timeout_s=kafka.log_stall_timeout_s,
        when_truncated=WhenTruncated.CONTINUE,
    )
    try:
        ends = await consumer.end_offsets([windows, spend])
        begin = (await consumer.beginning_offsets([windows]))[windows]
        found = await _last_checkpoint(begin, ends[windows], partial(read, windows))
        if found is None:
            return Progress(None, not (ends[windows] or ends[spend]), ends)
        checkpoint, windows_to, spend_to = found
        try:
            windows_s = [
                row.window_s
                async for record in read(windows, windows_to, ends[windows])
                for row in _windows.decode_lines(record.value or b"")
            ]
            spend_s = [
                row.bucket_s
                async for record in read(spend, spend_to, ends[spend])
                for row in _spend.decode_lines(record.value or b"")
            ]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.exception("rows_after_checkpoint_unreadable", partition=partition)
            return Progress(with_unknown_horizons(checkpoint), False, ends)
        return Progress(with_rows_beyond(checkpoint, windows_s, spend_s), False, ends)
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)


async def _last_checkpoint(
    begin: int, end: int, read: Callable[[int, int], AsyncIterator[ConsumerRecord]]
) -> tuple[Checkpoint, int, int] | None:
    """Return the checkpoint to continue from, and the ends of its flush in windows and spend."""
    upper, step = end, FIRST_STEP
    found: list[tuple[Checkpoint, int, int]] = []
    while upper > begin:
        lower = max(begin, upper - step)
        earlier: list[tuple[Checkpoint, int, int]] = []
        async for record in read(lower, upper):
            try:
                decoded = checkpoint_of_record(record)
            except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
                # Continue from the previous checkpoint: later input is read again.
                log.exception("checkpoint_unreadable", offset=record.offset)
                continue
            if decoded is not None:
                earlier.append((decoded[0], record.offset + 1, decoded[1]))
        found = earlier + found
        if found:
            latest = found[index_of_latest([checkpoint for checkpoint, _, _ in found])]
            if lower == begin or not is_first(latest[0]):
                return latest
        upper, step = lower, step * 4
    return None
