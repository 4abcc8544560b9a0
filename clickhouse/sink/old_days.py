"""Separate rows of old days, which are inserted a few partitions at a time.

An insert creates a part in each partition that it touches. Rows of ten years have hundreds of
partitions, whose insert would delay fresh rows.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from datetime import date, timedelta
from typing import Final

from clickhouse.sink.record_rows import NO_ROWS, Rows
from clickhouse.store import Store

DAY_US: Final = 86_400_000_000
EPOCH: Final = date(1970, 1, 1)
SUFFIX: Final = " of old days"
_START: Final = re.compile(rb'"start_us":(\d+)')
_BEFORE_START: Final = b'","start_us":'
"""Text before the start in all rows of ``is_by_day`` feeds: an identifier precedes it."""
_BEFORE_START_BYTES: Final = len(_BEFORE_START)
_BORDER: Final = re.compile(r"toDate\('(\d{4}-\d\d-\d\d)'\)")


def queue_of(table: str) -> str:
    """Return the queue name for old rows of ``table``."""
    return table + SUFFIX


def table_of(queue: str) -> str:
    """Return the table of a queue of fresh or old rows."""
    return queue.removesuffix(SUFFIX)


def split_by_age(rows: bytes, oldest_us: int) -> tuple[Rows, Rows]:
    """Split rows into those that start at ``oldest_us`` or later, and earlier ones.

    Numbers are compared as text, because all times in microseconds from 2001 to 2286 have 16
    digits. The pattern cannot match within a text, where quotes are escaped. The first match is the
    row's start, because maps, which can have the same key, follow it.
    """
    oldest = b"%d" % oldest_us
    count = _count_if_fresh(rows, oldest)
    if count is not None:
        return Rows(rows, count), NO_ROWS
    fresh: list[bytes] = []
    old: list[bytes] = []
    for line in rows.split(b"\n"):
        start = _START.search(line)
        (old if start and start[1] < oldest else fresh).append(line)
    return Rows.of(b"\n".join(fresh)), Rows.of(b"\n".join(old))


def _count_if_fresh(rows: bytes, oldest: bytes) -> int | None:
    """Return the number of rows if all start at ``oldest`` or later; None if some may not.

    It reads only a few bytes per row, because most rows of a record have the start at the same
    position.
    """
    if not rows:
        return 0
    find, is_at = rows.find, rows.startswith
    digits = len(oldest)
    count = begin = offset = 0
    last = len(rows)
    while begin < last:
        end = find(b"\n", begin)
        if end < 0:
            end = last
        if not is_at(_BEFORE_START, begin + offset):
            offset = find(_BEFORE_START, begin, end) - begin
            if offset < 0:
                return None
        at = begin + offset + _BEFORE_START_BYTES
        if rows[at : at + digits] < oldest:
            return None
        count += 1
        begin = end + 1
    return count


class PartitionKeys:
    """The partition keys of the store's tables, which determine the partition of a row."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._border_days: dict[str, int] = {}

    async def load(self, table: str) -> None:
        """Load the day from which on ``table`` has a partition per day, unless it is loaded.

        Raises:
            StoreError: the store does not respond.
        """
        if table in self._border_days:
            return
        rows = await self._store.query(
            "SELECT partition_key FROM system.tables"
            " WHERE database = {database:String} AND name = {table:String}",
            {"database": self._store.database, "table": table},
        )
        border = _BORDER.search(rows[0]["partition_key"]) if rows else None
        day = date.fromisoformat(border[1]) if border else EPOCH
        self._border_days[table] = (day - EPOCH).days

    def of(self, table: str, row: bytes) -> Hashable:
        """Return the row's partition."""
        start = _START.search(row)
        day = int(start[1]) // DAY_US if start else 0
        if day >= self._border_days.get(table, 0):
            return (1, day)
        return (0, (EPOCH + timedelta(days=day)).year)
