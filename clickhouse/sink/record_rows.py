"""Extract the rows of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka.structs import ConsumerRecord


class Rows(NamedTuple):
    """NDJSON, and its number of lines."""

    value: bytes
    lines: int

    @classmethod
    def of(cls, value: bytes) -> Rows:
        """Create rows from NDJSON; the lines are counted with ``find``, which is vectorized."""
        if not value:
            return NO_ROWS
        find = value.find
        at = find(b"\n")
        if at < 0:
            return cls(value, 1)
        count = 0
        while at >= 0:
            count += 1
            at = find(b"\n", at + 1)
        return cls(value, count + (not value.endswith(b"\n")))


NO_ROWS: Final = Rows(b"", 0)

RowsOf = Callable[[ConsumerRecord], Rows]
"""Return the rows of a record."""


def value_rows(record: ConsumerRecord) -> Rows:
    """Return the unchanged value of a record on a row topic."""
    return Rows.of(record.value or b"")
