"""How far the log was when the store was last filled from it: noted by the sink, compared by every start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from clickhouse.errors import QueryRejected
from clickhouse.rows import LogPositionRow
from clickhouse.store import Store

TABLE: Final = "log_positions"
_NO_SUCH: Final = frozenset({60, 81})
"""ClickHouse's codes of a table and a database that do not exist."""


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of the log at one moment."""

    topic: str
    topic_partition: int
    cluster_id: str
    end_offset: int
    """Every record before it was acknowledged."""
    stored_offset: int
    """Of a row topic: the store has everything before it. Of events and deltas: it was processed."""
    row_version: int
    """Milliseconds since the epoch when it was noted, or one more than the version before."""


_positions: Final = msgspec.json.Decoder(LogPosition, strict=False)
_SQL: Final = """
SELECT topic, topic_partition, cluster_id, end_offset, stored_offset, row_version
FROM log_positions FINAL
ORDER BY topic, topic_partition
"""


async def read_positions(store: Store) -> list[LogPosition]:
    """Read the last positions; none where none were noted, or the table is not there yet.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    try:
        return list(_positions.decode_lines(await store.query_bytes(_SQL)))
    except QueryRejected as error:
        if error.code in _NO_SUCH:
            return []
        raise


async def note_positions(store: Store, positions: Iterable[LogPosition]) -> None:
    """Keep positions; of each partition the one with the highest version counts.

    Raises:
        StoreUnavailable, QueryRejected: they are not kept.
    """
    rows: Sequence[bytes] = [
        msgspec.json.encode(
            LogPositionRow(**{field: getattr(each, field) for field in each.__struct_fields__})
        )
        for each in positions
    ]
    if rows:
        await store.insert_lines(TABLE, LogPositionRow.__struct_fields__, b"\n".join(rows))
