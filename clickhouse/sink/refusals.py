"""Rows that the store refuses: found by bisection, so that the rest of their batch lands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from clickhouse.errors import QueryRejected

ROW_ERROR_CODES: Final = frozenset(
    {6, 25, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 407, 441, 467, 675, 676}
)
"""ClickHouse error codes that blame the data of a row (cannot parse …, incorrect data, out of range), not the statement or the server."""

Insert = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that did not get in."""

    number: int
    """Which line of the batch it is, from 0; empty lines don't count."""
    line: bytes
    reason: str
    """The store's words."""


def blames_a_row(error: QueryRejected) -> bool:
    return error.code in ROW_ERROR_CODES


def lines_of(body: bytes) -> list[bytes]:
    """The rows of NDJSON: its lines that are not empty."""
    return [line for line in body.split(b"\n") if line.strip()]


async def insert_or_isolate(insert: Insert, body: bytes, first: int = 0) -> list[Refused]:
    """Insert ``body`` (NDJSON, its first line has the number ``first``); the lines that the store refuses, in their order.

    Halves are inserted on their own: a row that is inserted twice replaces itself.

    Raises:
        QueryRejected: the refusal is not about a row.
        StoreUnavailable: the store did not answer.
    """
    try:
        await insert(body)
    except QueryRejected as error:
        if not blames_a_row(error):
            raise
        lines = lines_of(body)
        if len(lines) <= 1:
            return [Refused(first, line, str(error)) for line in lines]
        middle = len(lines) // 2
        return [
            *await insert_or_isolate(insert, b"\n".join(lines[:middle]), first),
            *await insert_or_isolate(insert, b"\n".join(lines[middle:]), first + middle),
        ]
    return []
