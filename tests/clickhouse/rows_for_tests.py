"""Rows and functions that several tests share."""

from __future__ import annotations

import contextlib

import msgspec

from clickhouse.errors import QueryRejected
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
    columns: list[str] = list(ROW_OF_TABLE[table].__struct_fields__)
    with contextlib.suppress(QueryRejected):  # a role that may not describe tables
        described = await store.query(f"DESCRIBE TABLE {table}")
        there = {column["name"] for column in described}
        columns = [name for name in columns if name in there]
    lines = [
        msgspec.json.encode({k: v for k, v in msgspec.to_builtins(row).items() if k in columns})
        + b"\n"
        for row in rows
    ]
    await store.insert_lines(table, columns, lines)
