"""The user of queries can read, within limits, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx
import pytest

NOT_A_READERS: Final = (
    "INSERT INTO tracemill.schema_history (number) VALUES (9)",
    'INSERT INTO tracemill.schema_history (number) FORMAT JSONEachRow {"number": 9}',
    "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') SELECT 1",
    "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') FORMAT CSV 1",
    "insert into tracemill.schema_history select 1",
    "WITH x AS (SELECT 1) INSERT INTO tracemill.schema_history (number) SELECT 9",
    "DROP TABLE tracemill.schema_history",
    "DROP DATABASE tracemill",
    "TRUNCATE TABLE tracemill.schema_history",
    "ALTER TABLE tracemill.schema_history DELETE WHERE 1",
    "DELETE FROM tracemill.schema_history WHERE 1",
    "CREATE TABLE tracemill.x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER z",
    "GRANT ALL ON *.* TO default",
    "SET ROLE ALL",
    "SET max_memory_usage = 0",
    "USE system",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE tracemill.schema_history TO File('/tmp/x')",
    "ATTACH TABLE tracemill.x FROM '/tmp' (a Int8) ENGINE = File(CSV)",
    "EXECUTE AS default SELECT 1",
    "EXPLAIN SELECT 1",
    "EXPLAIN ESTIMATE INSERT INTO tracemill.schema_history (number) SELECT 1",
    "EXPLAIN ESTIMATE EXPLAIN SELECT 1",
    "EXPLAIN ESTIMATE SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "EXPLAIN ESTIMATE SELECT 1; SELECT 2",
    "SHOW CREATE TABLE tracemill.schema_history",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 PARALLEL WITH DROP TABLE tracemill.schema_history",
    "SELECT 1; DROP TABLE tracemill.schema_history",
    "SELECT 1; SELECT 2",
    "SELECT 1;;",
    "SELECT ';' /* ; */; -- ;\nSELECT 2",
    "SELECT 1 -- x\n; DROP TABLE tracemill.schema_history",
    ("SELECT `a\\`; DROP TABLE tracemill.schema_history; --` FROM tracemill.schema_history;"
    " SELECT 1"),
    "SELECT $x$ $x$; DROP TABLE tracemill.schema_history",
    "SELECT 1 # comment\n",
    "SELECT \u2018 \u2019",
    "SELECT 1\u00a0+ 1",
    "SELECT '\0'",
    "SELECT 'open",
    "SELECT /* open",
    *(
        f"SELECT * FROM {call}"
        for call in (
            "file('/etc/passwd', 'LineAsString')",
            "`file`('/etc/passwd', 'LineAsString')",
            "\"file\"('/etc/passwd', 'LineAsString')",
            "file /* */ ('/etc/passwd', 'LineAsString')",
            "FILE('/etc/passwd', 'LineAsString')",
            "fileCluster('default', '/etc/passwd', 'LineAsString')",
            "`/etc/passwd`",
            "url('http://127.0.0.1:1/', 'LineAsString')",
            "urlCluster('default', 'http://127.0.0.1:1/', 'LineAsString')",
            "s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
            "gcs('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
            "remote('127.0.0.1:1', 'tracemill.schema_history')",
            "remoteSecure('127.0.0.1:1', 'tracemill.schema_history')",
            "cluster('default', 'tracemill.schema_history')",
            "executable('a.sh', 'TSV', 'a String')",
            "input('a Int8')",
            "mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
            "postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
            "mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a Int8')",
            "sqlite('/tmp/x', 't')",
            "jdbc('a', 'b', 'c')",
            "odbc('a', 'b', 'c')",
            "redis('127.0.0.1:1', 'a', 'a Int8')",
            "hdfs('hdfs://127.0.0.1:1/a', 'CSV', 'a Int8')",
            "azureBlobStorage('a', 'b', 'c')",
            "deltaLake('http://127.0.0.1:1/a')",
            "iceberg('http://127.0.0.1:1/a')",
            "merge('system', '.*')",
            "merge('tracemill', '.*')",
            "dictionary('x')",
            "Python(x)",
            "loop(tracemill.schema_history)",
            "system.processes",
            "system.users",
            "system.query_log",
            "system.grants",
            "system.functions",
            "`system`.processes",
            "SYSTEM.processes",
            '"system" . "processes"',
            "system /* */ . /* */ processes",
            "information_schema.tables",
            "INFORMATION_SCHEMA.TABLES",
            "default.x",
            "{table:Identifier}",
        )
    ),
    *(
        f"SELECT {call}"
        for call in (
            "file('/etc/passwd')",
            "`file`('/etc/passwd')",
            "getServerSetting('path')",
            "hostName()",
            "getMacro('x')",
            "sleep(3)",
            "sleepEachRow(1)",
            "joinGet('a', 'b', 1)",
            "dictGet('a', 'b', 1)",
            "hasColumnInTable('system', 'users', 'name')",
            "catboostEvaluate('/x', 1)",
            "aiGenerate('x')",
            "showCertificate()",
            "filesystemAvailable()",
            "currentRequestURL()",
            "getClientHTTPHeader('Authorization')",
            "addressToSymbol(1)",
            "evalMLMethod(1, 1)",
            "formatQuery('SELECT 1')",
            "(SELECT file('/etc/passwd'))",
            "arrayMap(x -> file(x), ['/etc/passwd'])",
            "1 IN (SELECT count() FROM system.processes)",
        )
    ),
    *(
        f"SELECT 1 SETTINGS {setting}"
        for setting in (
            "profile = 'default'",
            "readonly = 0",
            "max_memory_usage = 0",
            "max_memory_usage = 100000000000000",
            "max_execution_time = 0",
            "max_execution_time = 100000",
            "max_execution_time = -1",
            "max_threads = 10000",
            "dialect = 'prql'",
            "format_schema = '/etc/passwd'",
            "max_rows_to_read = 1, readonly = 0",
            "max_rows_to_read = {x:String}",
            "allow_ddl = 1",
            "send_logs_level = 'trace'",
            "additional_table_filters = {'a': 'b'}",
            "",
        )
    ),
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
)  # fmt: skip


@pytest.mark.parametrize("sql", NOT_A_READERS)
@pytest.mark.parametrize("user", ["query", "ingest"])
def test_the_query_user_can_only_read(
    as_user: Callable[[str], httpx.Client], user: str, sql: str
) -> None:
    if user == "ingest" and sql.startswith("INSERT INTO tracemill.schema_history (number) FORMAT"):
        pytest.skip("its work")
    for answer in (
        as_user(user).post("/", content=sql.encode(), params={"param_table": "system.processes"}),
        as_user(user).get("/", params={"query": sql}),
        as_user(user).post("/", files={"query": (None, sql)}),
    ):
        assert answer.status_code in {400, 403}, answer.text
        assert answer.headers["X-ClickHouse-Exception-Code"] in {"497", "62", "164"}


@pytest.mark.parametrize(
    "params",
    [
        {"database": "system"},
        {"database": "information_schema"},
        {"readonly": "0"},
        {"max_memory_usage": "0"},
        {"max_execution_time": "0"},
        {"max_execution_time": "1e9"},
        {"profile": "default"},
        {"dialect": "prql"},
        {"allow_ddl": "1"},
        {"log_comment": "x"},
    ],
    ids=repr,
)
def test_a_request_cannot_raise_its_limits(
    as_user: Callable[[str], httpx.Client], params: dict[str, str]
) -> None:
    answer = as_user("query").post("/", content=b"SELECT 1", params=params)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name, value FROM system.settings LIMIT 1 FORMAT Native",
        "SELECT 1;",
        "SELECT 1 ; -- the end",
        "SELECT ';', \"a\" FROM (SELECT 1 AS a) /* ; */",
        "SELECT 'it''s; \\'' AS `x;y`",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH a AS (SELECT 1 AS n) SELECT sumIf(n, n > 0), quantiles(0.5, 0.9)(n) FROM a",
        (
            "SELECT toDecimal64(1.5, 2), CAST(1 AS Nullable(Int8)),"
            " arrayMap((x, y) -> x + y, [1], [2])"
        ),
        "SELECT {v:Array(String)}, now64(3), coalesce(NULL, 1), JSONExtractString('{}', 'a')",
        "SELECT name FROM system.tables WHERE database = 'tracemill'",
        "SELECT count() FROM system.parts SETTINGS readonly = 2, max_execution_time = 0.5",
        "SELECT row_number() OVER (ORDER BY 1) FROM tracemill.schema_history LIMIT 1 BY (number)",
        (
            "SELECT countMerge(s) FROM (SELECT countState() AS s)"
            " SETTINGS max_memory_usage = 100000000"
        ),
    ],
)
async def test_the_query_user_can_read(
    migrated: str, as_user: Callable[[str], httpx.Client], sql: str
) -> None:
    answer = as_user("query").post("/", content=sql.encode(), params={"param_v": "['a']"})
    assert answer.status_code == 200, answer.text
