"""Builds dead letters of input that raised: the exception, its location in the code and the input.

The row always encodes and stays below a given size: detail and payload are cut, and the detail
notes that the payload was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from clickhouse.rows import DeadLetterRow
from streams.core.dead_letters.texts import (
    PROJECT_ID_MAX_CHARS,
    bounded_payload,
    describe_error,
    printable,
)
from streams.core.observations.failures import PROCESSING_FAILED

TIME_MAX_US: Final = 2**32 * 1_000_000
"""Latest time that the store's columns hold."""
ROW_OVERHEAD_BYTES: Final = 16 * 1024
"""Upper bound of the other fields of a row, in bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """The record that a failure came from."""

    topic: str
    partition: int
    offset: int
    at_us: int
    """When the broker received it."""


def dead_letter_of_error(
    *,
    stage: str,
    identity: str,
    error: BaseException,
    payload: bytes,
    project_id: str,
    source: Source,
    row_bytes_max: int,
) -> DeadLetterRow:
    """Build the row of input that raised ``error``.

    Args:
        stage: the stage that set the input aside.
        identity: identifies the input, the same on each replay, so that replays give the same row.
        error: the exception.
        payload: the input; cut if the row would exceed ``row_bytes_max`` as JSON.
        project_id: owner of the input; empty if unknown.
        source: the record with the input.
        row_bytes_max: limit of the encoded row.
    """
    kept, note = bounded_payload(payload, max(0, row_bytes_max - ROW_OVERHEAD_BYTES))
    return DeadLetterRow(
        project_id=printable(project_id) if len(project_id) <= PROJECT_ID_MAX_CHARS else "",
        id=sha256(f"{stage}/{identity}".encode(errors="replace")).hexdigest()[:32],
        created_us=min(max(source.at_us, 0), TIME_MAX_US),
        stage=stage,
        reason=PROCESSING_FAILED,
        detail=describe_error(error) + note,
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
        payload=kept,
    )
