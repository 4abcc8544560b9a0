"""The users of the embedded store have only the privileges of their roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx
import pytest

from clickhouse.errors import QueryRejected
from clickhouse.levels.cubes import CUBES
from clickhouse.migrate import migrate
from clickhouse.project_rows import (
    begin_to_delete,
    partitions_with_rows,
    project_tables,
    rows_left,
)
from clickhouse.settings import TieringSettings
from tests.clickhouse.levels_for_tests import MONDAY_S, insert, recompute, window
from tests.clickhouse.rows_for_tests import observation, write
from tests.clickhouse.sink_for_tests import eventually
from tests.clickhouse.store_users_for_tests import TABLE, store_of


async def test_each_role_can_do_its_work(migrated: str) -> None:
    ingest, query = store_of(migrated, "ingest"), store_of(migrated, "query")
    try:
        await write(ingest, "observations", *(observation(id=f"o{n}") for n in range(3)))
        for store in (ingest, query):
            (found,) = await store.query("SELECT count() AS n FROM observations FINAL")
            assert found["n"] == 3
            (slim,) = await store.query("SELECT count() AS n FROM observations_slim FINAL")
            assert slim["n"] == 3
            await store.ping()
        with pytest.raises(QueryRejected) as refusal:
            await write(query, "observations", observation(id="more"))
        assert refusal.value.code == 497
        with pytest.raises(QueryRejected):
            await migrate(ingest, TieringSettings(hot_days=9))
    finally:
        await ingest.close()
        await query.close()


async def test_the_role_that_writes_deletes_the_rows_of_a_project(migrated: str) -> None:
    ingest, query = store_of(migrated, "ingest"), store_of(migrated, "query")
    try:
        await write(ingest, "observations", observation(project_id="gone"))
        for table in await project_tables(ingest):
            for partition in await partitions_with_rows(ingest, table, "gone"):
                with pytest.raises(QueryRejected) as refusal:
                    await begin_to_delete(query, table, partition.partition_id, "gone")
                assert refusal.value.code == 497
                await begin_to_delete(ingest, table, partition.partition_id, "gone")

        async def is_gone() -> bool:
            return not any((await rows_left(query, "gone")).values())

        await eventually(is_gone)
    finally:
        await ingest.close()
        await query.close()


DELETE: Final = "ALTER TABLE tracemill.observations DELETE"


NOT_A_DELETION: Final = (
    f"{DELETE} WHERE project_id = 'p'",
    f"{DELETE} IN PARTITION ID '20260101' WHERE 1",
    f"{DELETE} IN PARTITION ID '20260101' WHERE project_id = 'p' OR 1",
    f"{DELETE} IN PARTITION ID '20260101' WHERE project_id != 'p'",
    f"{DELETE} IN PARTITION ID '20260101' WHERE project_id = 'p', DROP COLUMN name",
    f"{DELETE} IN PARTITION ID '20260101' WHERE project_id = 'p', DELETE WHERE id = 'a'",
    f"{DELETE} IN PARTITION ID '20260101' WHERE project_id = 'p'; SELECT 1",
    f"{DELETE} IN PARTITION ID '20260101' WHERE (SELECT 'p') = 'p'",
    f"{DELETE} IN PARTITION ID '20260101' WHERE file('/etc/passwd') = 'p'",
    f"{DELETE} IN PARTITION ID '20260101' WHERE dictGet('a', 'b', 'c') = 'p'",
    f"{DELETE} IN PARTITION ALL WHERE project_id = 'p'",
    "ALTER TABLE tracemill.observations DROP PARTITION ID '20260101'",
    "ALTER TABLE tracemill.observations UPDATE name = '' IN PARTITION ID '1' WHERE id = 'a'",
    "ALTER TABLE system.parts DELETE IN PARTITION ID 'all' WHERE table = 'a'",
    "ALTER TABLE `system`.users DELETE IN PARTITION ID 'all' WHERE name = 'a'",
    "DELETE FROM tracemill.observations WHERE project_id = 'p'",
    "TRUNCATE TABLE tracemill.observations",
)


@pytest.mark.parametrize("sql", NOT_A_DELETION)
def test_the_role_that_writes_alters_nothing_else(
    as_user: Callable[[str], httpx.Client], migrated: str, sql: str
) -> None:
    answer = as_user("ingest").post("/", content=sql.encode())
    assert answer.status_code == 403, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497", answer.text


async def test_a_get_never_writes(migrated: str, as_user: Callable[[str], httpx.Client]) -> None:
    statement = f"ALTER TABLE {TABLE} ADD COLUMN x Int8"
    for params in ({}, {"readonly": "0"}, {"readonly": "2"}):
        answer = as_user("migrate").get("/", params={"query": statement, **params})
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164", answer.text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; SELECT 2",
        "CREATE DATABASE tracemill_x; CREATE DATABASE tracemill_y",
        "INSERT INTO tracemill.schema_history (number); SELECT 1 FORMAT JSONEachRow {}",
    ],
)
def test_one_statement_per_request_for_every_user(
    as_user: Callable[[str], httpx.Client], sql: str
) -> None:
    answer = as_user("migrate").post("/", content=sql.encode())
    assert answer.status_code == 400
    assert answer.headers["X-ClickHouse-Exception-Code"] == "62"


def test_the_migrate_user_reaches_no_files_and_no_other_database(
    as_user: Callable[[str], httpx.Client],
) -> None:
    for sql in (
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "CREATE DATABASE other",
        "CREATE USER z",
    ):
        answer = as_user("migrate").post("/", content=sql.encode())
        assert answer.headers["X-ClickHouse-Exception-Code"] == "497", answer.text


SELECTED: Final = "INSERT INTO tracemill.schema_history (number) SELECT"


async def test_the_role_that_writes_recomputes_rows_from_others(migrated: str) -> None:
    ingest = store_of(migrated, "ingest")
    try:
        await insert(ingest, [window(MONDAY_S, project_id="recomputed")])
        await recompute(ingest)
        (found,) = await ingest.query(
            "SELECT count() AS n FROM windows_daily WHERE project_id = 'recomputed'"
        )
        assert found["n"] == len(CUBES)
    finally:
        await ingest.close()


@pytest.mark.parametrize(
    "sql",
    [
        f"{SELECTED} number FROM url('http://127.0.0.1:1/', 'LineAsString')",
        f"{SELECTED} file('/etc/passwd')",
        f"{SELECTED} 1 FROM system.users",
        f"{SELECTED} 1 SETTINGS max_memory_usage = 0",
        f"{SELECTED} 1; SELECT 2",
        f"{SELECTED} 1 FROM (INSERT INTO tracemill.schema_history (number) SELECT 1)",
        f"{SELECTED} 1 INTO OUTFILE '/tmp/x'",
        "INSERT INTO system.parts (name) SELECT 'a'",
        "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') SELECT 1",
        "INSERT INTO TABLE FUNCTION file('/tmp/x', 'CSV', 'a Int8') SELECT 1",
        "INSERT INTO tracemill.schema_history (* EXCEPT(name)) SELECT 1",
        "INSERT INTO tracemill.schema_history (number) VALUES (1)",
        "INSERT SELECT 1",
        "INSERT",
        "INSERT INTO",
        "INSERT FORMAT JSONEachRow {}",
    ],
)
def test_the_role_that_writes_selects_only_what_it_may_read(
    as_user: Callable[[str], httpx.Client], migrated: str, sql: str
) -> None:
    answer = as_user("ingest").post("/", content=sql.encode())
    assert answer.status_code == 403, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497", answer.text
