"""Find, count and delete the rows of one project in every table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clickhouse.errors import QueryRejected
from clickhouse.feed import PROJECT_COLUMN, Feed
from clickhouse.feeds import FEEDS
from clickhouse.store import Store

_LITERAL: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_TABLES: Final = """
SELECT columns.table AS name
FROM system.columns AS columns
INNER JOIN system.tables AS tables
    ON tables.database = columns.database AND tables.name = columns.table
WHERE columns.database = {database:String} AND columns.name = {column:String}
    AND endsWith(tables.engine, 'MergeTree')
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class ProjectTable:
    """A table with rows of projects."""

    name: str
    project_sql: str
    """SQL expression of a row's project."""


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """The number of rows of a project in a partition, including all stored versions."""

    partition_id: str
    rows: int


async def project_tables(store: Store, feeds: Iterable[Feed] = FEEDS) -> list[ProjectTable]:
    """Return the tables that have rows of projects.

    These are tables of feeds, and other tables with a column ``project_id``, which materialized
    views fill. Raises like ``Store.query``.
    """
    found = {feed.table: feed.project_sql for feed in feeds if feed.project_sql}
    params = {"database": store.database, "column": PROJECT_COLUMN}
    for row in await store.query(_TABLES, params):
        found.setdefault(row["name"], PROJECT_COLUMN)
    return [ProjectTable(name, project_sql) for name, project_sql in found.items()]


async def partitions_with_rows(
    store: Store, table: ProjectTable, project_id: str
) -> list[PartitionRows]:
    """Return the partitions of a table that contain rows of a project.

    Raises like ``Store.query``.
    """
    rows = await store.query(
        f"SELECT _partition_id AS id, count() AS rows FROM {table.name}"  # noqa: S608  # a table's name
        f" WHERE {table.project_sql} = {{project:String}} GROUP BY id ORDER BY id",
        {"project": project_id},
    )
    return [PartitionRows(row["id"], row["rows"]) for row in rows]


async def rows_in_partition(
    store: Store, table: ProjectTable, partition_id: str, project_id: str
) -> int:
    """Return the number of a project's rows in a partition. Raises like ``Store.query``."""
    (found,) = await store.query(
        f"SELECT count() AS rows FROM {table.name} WHERE {table.project_sql} = {{project:String}}"  # noqa: S608  # a table's name
        " AND _partition_id = {partition:String}",
        {"project": project_id, "partition": partition_id},
    )
    return int(found["rows"])


async def rows_left(store: Store, project_id: str) -> dict[str, int]:
    """Return the number of a project's remaining rows by table. Raises like ``Store.query``."""
    left = {}
    for table in await project_tables(store):
        partitions = await partitions_with_rows(store, table, project_id)
        left[table.name] = sum(each.rows for each in partitions)
    return left


async def begin_to_delete(
    store: Store, table: ProjectTable, partition_id: str, project_id: str
) -> None:
    """Start a mutation that deletes the rows of a project from a partition.

    Queries return the rows until the mutation is done. Repeated mutations change nothing. Raises
    like ``Store.query``.
    """
    # ClickHouse stores a mutation as text without parameters, so the values are literals.
    for literal in (partition_id, project_id):
        if not _LITERAL.fullmatch(literal):
            raise QueryRejected(0, f"{literal!r} cannot be the id of a project or partition")
    await store.command(
        f"ALTER TABLE {table.name} DELETE IN PARTITION ID '{partition_id}'"
        f" WHERE {table.project_sql} = '{project_id}'",
        settings={"mutations_sync": "0"},
    )
