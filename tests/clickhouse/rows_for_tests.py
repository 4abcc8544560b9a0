"""Rows and functions that several tests share."""

from __future__ import annotations

import msgspec

from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.rows import ObservationRow
from clickhouse.store import Store
from tracemill.clock import now_us

DAY_US = 86_400_000_000


def observation(**changes: object) -> ObservationRow:
    values: dict[str, object] = {
        "project_id": "p",
        "trace_id": "t1",
        "id": "o1",
        "start_us": now_us(),
        "row_version": 1,
    }
    return ObservationRow(**{**values, **changes})


async def write(store: Store, table: str, *rows: msgspec.Struct) -> None:
    """Write rows; the table of an older version may lack some of their fields."""
    described = await store.query(f"DESCRIBE TABLE {table}")
    there = {column["name"] for column in described}
    columns = [name for name in ROW_OF_TABLE[table].__struct_fields__ if name in there]
    lines = [msgspec.json.encode(row) + b"\n" for row in rows]
    await store.insert_lines(table, columns, lines)
