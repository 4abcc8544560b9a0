"""Encode the effects of a chunk as values of Kafka records.

This is part of the fold, so that a row that cannot be encoded fails the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from streams.core.observations.effects import Effects
from streams.core.observations.failures import FoldFailedError
from streams.core.rollups.deltas import Delta, partition_of_project

ROWS_AT_ONCE: Final = 512
"""Maximum number of rows that are encoded in one call, which is faster if they fit one record."""
RECORD_OVERHEAD_BYTES: Final = 1_024
"""Headers and framing of a record, rounded up."""

_encoder = msgspec.json.Encoder()


class RowFailedError(FoldFailedError):
    """A row cannot be encoded, or is too large for a record."""

    def __init__(self, message: str, row: msgspec.Struct) -> None:
        super().__init__(message)
        self.row = row


@dataclass(frozen=True, slots=True)
class EncodingLimits:
    """Limits of the records that rows are put into.

    Attributes:
        project_partitions: partitions of the deltas topic.
        record_bytes: minimum size of a record before the next row begins a new one.
        record_max_bytes: largest record that the broker accepts.
    """

    project_partitions: int
    record_bytes: int
    record_max_bytes: int

    @property
    def value_bytes_max(self) -> int:
        """Return the largest size of a record's value."""
        return self.record_max_bytes - RECORD_OVERHEAD_BYTES


@dataclass(slots=True)
class EncodedChunk:
    """Values of records, in the order in which they are sent."""

    deltas: list[tuple[int, bytes]] = field(default_factory=list)
    """Partition and value of each."""
    dead_letters: list[bytes] = field(default_factory=list)
    scores: list[bytes] = field(default_factory=list)
    deletions: list[bytes] = field(default_factory=list)
    traces: list[bytes] = field(default_factory=list)
    observations: list[bytes] = field(default_factory=list)


def encoded(effects: Effects, limits: EncodingLimits) -> EncodedChunk:
    """Encode the records of a chunk.

    Raises:
        RowFailedError: a row cannot be written.
    """
    chunk = EncodedChunk()
    by_partition: dict[int, list[Delta]] = {}
    for delta in effects.deltas:
        to = partition_of_project(delta.project_id, limits.project_partitions)
        by_partition.setdefault(to, []).append(delta)
    for to, deltas in by_partition.items():
        chunk.deltas += [(to, value) for value in records_of(deltas, limits)]
    chunk.dead_letters += records_of(effects.dead_letters, limits)
    chunk.scores += records_of(effects.scores, limits)
    chunk.deletions += records_of(effects.deletions, limits)
    chunk.traces += records_of(effects.traces, limits)
    chunk.observations += records_of(effects.observations, limits)
    return chunk


def records_of(rows: Sequence[msgspec.Struct], limits: EncodingLimits) -> Iterator[bytes]:
    """Encode rows as NDJSON records of about ``record_bytes``; rows that belong together share one.

    Raises:
        RowFailedError: a row does not encode, or makes its record too large.
    """
    if not rows:
        return
    together = _encoded_at_once(rows, limits)
    if together is not None:
        yield together
        return
    yield from _encoded_row_by_row(rows, limits)


def _encoded_row_by_row(rows: Sequence[msgspec.Struct], limits: EncodingLimits) -> Iterator[bytes]:
    record_bytes, value_bytes_max = limits.record_bytes, limits.value_bytes_max
    encode_into = _encoder.encode_into
    buffer = bytearray()
    previous = rows[0]
    begin = 0
    for row in rows:
        if begin >= record_bytes and not _belong_together(previous, row):
            yield bytes(buffer)
            buffer.clear()
            begin = 0
        if begin:
            buffer += b"\n"
        try:
            encode_into(row, buffer, -1)
        except Exception as error:
            raise RowFailedError("a row does not encode", row) from error
        size = len(buffer)
        if size > value_bytes_max:
            if begin and not _belong_together(previous, row):
                yield bytes(buffer[:begin])
                del buffer[: begin + 1]
                size = len(buffer)
            if size > value_bytes_max:
                message = f"a record of {size} bytes; {value_bytes_max} are allowed"
                raise RowFailedError(message, row)
        previous, begin = row, size
    yield bytes(buffer)


def _encoded_at_once(rows: Sequence[msgspec.Struct], limits: EncodingLimits) -> bytes | None:
    """Encode rows as one record; None if they are too many or too large, or one does not encode."""
    if len(rows) > ROWS_AT_ONCE:
        return None
    try:
        lines = _encoder.encode_lines(rows)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # encoding row by row finds the one that fails
        return None
    return lines[:-1] if len(lines) <= min(limits.record_bytes, limits.value_bytes_max) else None


def _belong_together(row: msgspec.Struct, following: msgspec.Struct) -> bool:
    """Return whether ``following`` deletes the row that ``row`` replaces.

    Only the first of several deletions belongs to the row: it deletes the stored version. Deltas
    need not share a record, because each is applied once by its offset, project and part.
    """
    return bool(getattr(following, "is_deleted", 0)) and not getattr(row, "is_deleted", 0)
