"""Build dead letters of input whose processing raised, with the exception and the input.

The row can always be encoded and stays below a given size: detail and payload are cut, and the
detail states that the payload was cut.
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
"""Latest time that the store's columns can represent."""
ROW_OVERHEAD_BYTES: Final = 16 * 1024
"""Upper bound of the other fields of a row, in bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """The record that contains the input."""

    topic: str
    partition: int
    offset: int
    at_us: int
    """Time when the broker received the record."""


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
    """Build the dead letter of input whose processing raised ``error``.

    Args:
        stage: the stage that processed the input.
        identity: identifies the input and is the same on each replay, as is the row's id.
        error: the exception.
        payload: the input; cut if the row would exceed ``row_bytes_max`` as JSON.
        project_id: project of the input; empty if unknown.
        source: the record that contains the input.
        row_bytes_max: maximum size of the encoded row.
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
