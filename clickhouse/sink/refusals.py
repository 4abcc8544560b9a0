"""Rows that the store refuses: found by bisection, so that the rest of their batch lands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from clickhouse.errors import QueryRejected

ROW_ERROR_CODES: Final = frozenset(
    {6, 25, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 407, 441, 467, 675, 676}
)
"""ClickHouse error codes that blame the data of a row (cannot parse …, incorrect data, out of range), not the statement or the server."""

Insert = Callable[[bytes], Awaitable[None]]


def blames_a_row(error: QueryRejected) -> bool:
    return error.code in ROW_ERROR_CODES


async def insert_or_isolate(insert: Insert, body: bytes) -> list[tuple[bytes, str]]:
    """Insert ``body`` (NDJSON); the lines that the store refuses, each with the store's words.

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
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) <= 1:
            return [(line, str(error)) for line in lines]
        middle = len(lines) // 2
        return [
            *await insert_or_isolate(insert, b"\n".join(lines[:middle])),
            *await insert_or_isolate(insert, b"\n".join(lines[middle:])),
        ]
    return []
