"""Read and write the log's positions in ClickHouse.

The sink and ``tracemill recover`` write them. Each role compares them with the log when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from clickhouse.errors import QueryRejected
from clickhouse.rows import LogPositionRow
from clickhouse.store import Store

TABLE: Final = "log_positions"
_NO_SUCH: Final = frozenset({60, 81})
"""ClickHouse's error codes for a table and a database that do not exist."""


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position of one partition of the log at a point in time."""

    topic: str
    topic_partition: int
    cluster_id: str
    end_offset: int
    """Offset after the last acknowledged record."""
    stored_offset: int
    """Offset before which all records are stored (row topics) or processed (events and deltas)."""
    row_version: int
    """Time of writing in milliseconds since the epoch, and above the previous version."""


_positions: Final = msgspec.json.Decoder(LogPosition, strict=False)
_SQL: Final = """
SELECT topic, topic_partition, cluster_id, end_offset, stored_offset, row_version
FROM log_positions FINAL
ORDER BY topic, topic_partition
"""


async def read_positions(store: Store) -> list[LogPosition]:
    """Return the latest positions; empty if there are none or the table does not exist.

    Raises:
        StoreUnavailable: the store did not respond.
        QueryRejected: the store refused the query.
    """
    try:
        return list(_positions.decode_lines(await store.query_bytes(_SQL)))
    except QueryRejected as error:
        if error.code in _NO_SUCH:
            return []
        raise


async def write_positions(store: Store, positions: Iterable[LogPosition]) -> None:
    """Write positions; the highest version of each partition is valid.

    Raises:
        StoreUnavailable, QueryRejected: the positions are not stored.
    """
    rows: Sequence[bytes] = [
        msgspec.json.encode(
            LogPositionRow(**{field: getattr(each, field) for field in each.__struct_fields__})
        )
        for each in positions
    ]
    if rows:
        await store.insert_lines(TABLE, LogPositionRow.__struct_fields__, b"\n".join(rows))
