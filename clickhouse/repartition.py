"""Change a table's partition key by moving its rows to a new table, partition by partition."""

from __future__ import annotations

import re
from typing import Final

import structlog

from clickhouse.errors import MigrationError
from clickhouse.store import Store

log = structlog.get_logger(__name__)

DIRECTIVE: Final = re.compile(r"REPARTITION (\w+)\.(\w+) BY (\S.*)\Z", re.DOTALL)
"""Directive of a migration: ``REPARTITION database.table BY expression``."""
_PARTITION_BY: Final = re.compile(r" PARTITION BY .+?(?= PRIMARY KEY | ORDER BY )")
STATEMENT_MAX_S: Final = 86_400.0
"""Time limit of one statement: copying the rows of one partition may take hours."""


async def repartition(store: Store, table: str, key: str, shape: str) -> None:
    """Partition ``table`` by ``key``, unless its partition key already contains ``shape``.

    1. Create a new table. 2. Merge, copy and drop the rows of each partition. 3. Exchange the names
    of both tables. 4. Drop the empty table. After a crash, the next call continues; a row that is
    copied twice replaces itself. No process may write to the table during this time.

    Raises:
        MigrationError: the table does not exist.
        StoreUnavailable, QueryRejected: a statement failed.
    """
    limits = {"clickhouse_insert_timeout_s": STATEMENT_MAX_S}
    patient = Store(store.settings.model_copy(update=limits))
    try:
        await _repartition(patient, table, key, shape)
    finally:
        await patient.close()


async def _repartition(store: Store, table: str, key: str, shape: str) -> None:
    moved = f"{table}_repartitioned"
    rows = await store.query(
        "SELECT partition_key, engine_full FROM system.tables"
        " WHERE database = {database:String} AND name = {table:String}",
        {"database": store.database, "table": table},
    )
    if not rows:
        raise MigrationError(f"cannot repartition {store.database}.{table}: it does not exist")
    if shape not in rows[0]["partition_key"]:
        engine = _PARTITION_BY.sub(
            lambda _: f" PARTITION BY {key}", rows[0]["engine_full"], count=1
        )
        await store.command(f"CREATE TABLE IF NOT EXISTS {moved} AS {table} ENGINE = {engine}")
        await _move_rows(store, table, moved)
        await store.command(f"EXCHANGE TABLES {table} AND {moved}")
    await store.command(f"DROP TABLE IF EXISTS {moved} SYNC")


async def _move_rows(store: Store, table: str, moved: str) -> None:
    names = {"database": store.database, "table": table}
    columns = await store.query(
        "SELECT name FROM system.columns WHERE database = {database:String}"
        " AND table = {table:String} AND default_kind NOT IN ('EPHEMERAL', 'MATERIALIZED')"
        " ORDER BY position",
        names,
    )
    listed = ", ".join(f"`{column['name']}`" for column in columns)
    partitions = await store.query(
        "SELECT partition_id, sum(rows) AS rows FROM system.parts WHERE active AND"
        " database = {database:String} AND table = {table:String}"
        " GROUP BY partition_id ORDER BY partition_id",
        names,
    )
    for partition in partitions:
        partition_id = partition["partition_id"]
        # Of rows with equal versions, a merge keeps the one inserted last. Copying would lose this
        # order.
        await store.command(
            f"OPTIMIZE TABLE {table} PARTITION ID '{partition_id}' FINAL",
            settings={"optimize_throw_if_noop": "1"},
        )
        copy = f"INSERT INTO {moved} ({listed}) SELECT {listed} FROM {table}"  # noqa: S608
        await store.command(
            f"{copy} WHERE _partition_id = {{partition_id:String}}",
            {"partition_id": partition_id},
            settings={"optimize_on_insert": "0", "max_partitions_per_insert_block": "0"},
        )
        await store.command(f"ALTER TABLE {table} DROP PARTITION ID '{partition_id}'")
        log.info("partition moved", table=table, partition=partition_id, rows=partition["rows"])
