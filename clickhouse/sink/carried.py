"""The rows that one record carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka.structs import ConsumerRecord


class Rows(NamedTuple):
    """NDJSON, and how many lines it has."""

    value: bytes
    lines: int

    @classmethod
    def of(cls, value: bytes) -> Rows:
        """Count the lines of ``value``: ``find`` looks at many bytes at a time, ``count`` at each."""
        if not value:
            return NO_ROWS
        count, find = 0, value.find
        at = find(b"\n")
        while at >= 0:
            count += 1
            at = find(b"\n", at + 1)
        return cls(value, count + (not value.endswith(b"\n")))


NO_ROWS: Final = Rows(b"", 0)

RowsOf = Callable[[ConsumerRecord], Rows]
"""The rows of a record."""


def carried_rows(record: ConsumerRecord) -> Rows:
    """Of a row topic: the value as it is."""
    return Rows.of(record.value or b"")
