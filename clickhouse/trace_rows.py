"""Find and delete the rows of deleted traces that newer rows supersede, in every table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse.errors import QueryRejected
from clickhouse.feed import PROJECT_COLUMN
from clickhouse.store import Store

TRACES: Final = "traces"
TRACE_COLUMN: Final = "trace_id"
_PARTITION: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_TABLES: Final = """
SELECT columns.table AS name
FROM system.columns AS columns
INNER JOIN system.tables AS tables
    ON tables.database = columns.database AND tables.name = columns.table
WHERE columns.database = {database:String} AND columns.name IN {columns:Array(String)}
    AND endsWith(tables.engine, 'MergeTree')
GROUP BY name
HAVING count() = {count:UInt32}
ORDER BY name
"""
_VERSIONED: Final = (PROJECT_COLUMN, "row_version", "is_deleted")


@dataclass(frozen=True, slots=True)
class SupersededRows:
    """Rows of deleted traces or scores of one project, below a version.

    Attributes:
        project_id: the project.
        ids: the traces, or the scores.
        below: version above all versions of these rows.
    """

    project_id: str
    ids: Sequence[str]
    below: int

    def condition(self, id_column: str) -> str:
        """Return a condition in which all values are literals."""
        ids = ", ".join(map(_literal, self.ids))
        return (
            f"{PROJECT_COLUMN} = {_literal(self.project_id)} AND {id_column} IN ({ids})"
            f" AND is_deleted = 0 AND row_version < {self.below}"
        )


async def trace_tables(store: Store) -> dict[str, str]:
    """Return the tables with versioned rows of traces, and the columns with the id of the trace.

    Raises like ``Store.query``.
    """
    columns = [*_VERSIONED, TRACE_COLUMN]
    params = {"database": store.database, "columns": columns, "count": len(columns)}
    found = {row["name"]: TRACE_COLUMN for row in await store.query(_TABLES, params)}
    return found | {TRACES: "id"}


async def partitions_with(store: Store, table: str, condition: str) -> list[str]:
    """Return the partitions of a table with rows that meet a condition.

    Raises like ``Store.query``.
    """
    rows = await store.query(
        f"SELECT DISTINCT _partition_id AS found FROM {table} WHERE {condition} ORDER BY found"  # noqa: S608  # values are literals
    )
    return [row["found"] for row in rows]


async def begin_to_erase(store: Store, table: str, partition_id: str, condition: str) -> None:
    """Start a mutation that deletes the rows of a partition that meet a condition.

    Repeated mutations change nothing. Raises like ``Store.query``.
    """
    if not _PARTITION.fullmatch(partition_id):
        raise QueryRejected(0, f"{partition_id!r} cannot be the id of a partition")
    await store.command(
        f"ALTER TABLE {table} DELETE IN PARTITION ID '{partition_id}' WHERE {condition}",
        settings={"mutations_sync": "0"},
    )


def _literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
