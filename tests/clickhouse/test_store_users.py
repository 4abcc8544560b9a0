"""Users of the embedded store need a password and have only the privileges of their roles."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from typer.testing import CliRunner

from clickhouse.errors import QueryRejected
from clickhouse.migrate import migrate
from clickhouse.project_rows import (
    begin_to_delete,
    partitions_with_rows,
    project_tables,
    rows_left,
)
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.cli import app
from deploy.embedded.ports import free_ports
from tests.clickhouse.rows_for_tests import observation, write
from tests.clickhouse.sink_for_tests import eventually
from tests.fixtures.store import STORE_PASSWORD, STORE_USER, running_store

PASSWORDS: Final = {user: f"password-of-{user}" for user in ("ingest", "query", "migrate")}
TABLE: Final = "tracemill.schema_history"
WITHIN_S: Final = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with the three users of an installation and no administrator."""
    (port,) = free_ports(1)
    environment = {
        f"TRACEMILL_STORE_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()
    } | {"TRACEMILL_CLICKHOUSE_PASSWORD": ""}
    with running_store(tmp_path_factory.mktemp("users"), port, environment):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def as_user(url: str) -> Iterator[Callable[[str], httpx.Client]]:
    clients = {
        user: httpx.Client(base_url=url, auth=(user, password), timeout=WITHIN_S)
        for user, password in PASSWORDS.items()
    }
    yield lambda user: clients[user]
    for client in clients.values():
        client.close()


def store_of(url: str, user: str) -> Store:
    return Store(
        StoreSettings(
            clickhouse_url=url,
            clickhouse_user=user,
            clickhouse_password=PASSWORDS[user],  # type: ignore[arg-type]
        )
    )


@pytest.fixture
async def migrated(url: str) -> AsyncIterator[str]:
    """The store, with its tables made by the user of migrations."""
    store = store_of(url, "migrate")
    try:
        await migrate(store, TieringSettings())
    finally:
        await store.close()
    return url


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


NO_CREDENTIALS: Final = (
    {},
    {"auth": ("default", "")},
    {"auth": ("query", "")},
    {"auth": ("query", "wrong")},
    {"auth": ("", PASSWORDS["query"])},
    {"auth": ("QUERY", PASSWORDS["query"])},
    {"auth": ("query", PASSWORDS["migrate"])},
    {"auth": ("ünïcode", "ünïcode")},
    {"headers": {"X-ClickHouse-User": "query", "X-ClickHouse-Key": "wrong"}},
    {"headers": {"X-ClickHouse-Key": PASSWORDS["query"]}},
    {"headers": {"Authorization": "Basic %%%"}},
    {"headers": {"Authorization": "Bearer " + PASSWORDS["query"]}},
    {"params": {"user": "query", "password": "wrong"}},
    {"params": {"user": "migrate"}},
)


@pytest.mark.parametrize("shown", NO_CREDENTIALS, ids=repr)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_right_password_nothing_is_run(
    url: str, method: str, shown: dict[str, dict[str, str]]
) -> None:
    """As a webhook would: the statement in the URL, a body of its own behind it."""
    params = {"query": f"DROP TABLE {TABLE}"} | shown.get("params", {})
    rest = {name: value for name, value in shown.items() if name != "params"}
    answer = httpx.request(
        method,
        url,
        params=params,
        content=b'{"type": "budget.threshold_crossed"}' if method == "POST" else None,
        timeout=WITHIN_S,
        **rest,  # type: ignore[arg-type]
    )
    assert answer.status_code == 403
    assert answer.headers["X-ClickHouse-Exception-Code"] == "516"


@pytest.mark.parametrize(
    "shown",
    [
        {"auth": ("query", PASSWORDS["query"])},
        {"headers": {"X-ClickHouse-User": "query", "X-ClickHouse-Key": PASSWORDS["query"]}},
        {"params": {"user": "query", "password": PASSWORDS["query"]}},
    ],
    ids=["basic", "headers", "parameters"],
)
def test_a_password_may_be_shown_in_each_of_clickhouses_ways(
    url: str, shown: dict[str, dict[str, str]]
) -> None:
    answer = httpx.post(url, content=b"SELECT 1", timeout=WITHIN_S, **shown)  # type: ignore[arg-type]
    assert answer.text == "1\n"


def test_an_unauthenticated_body_is_not_read(url: str) -> None:
    port = httpx.URL(url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as connection:
        connection.sendall(
            b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 1000000000\r\n\r\nx"
        )
        received = b""
        while piece := connection.recv(65536):  # until the store has closed
            received += piece
    assert received.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Mode": "navigate"},
        {"Host": "rebound.example"},
        {"Host": "rebound.example:8123"},
    ],
    ids=repr,
)
def test_web_pages_in_a_browser_cannot_use_it(
    as_user: Callable[[str], httpx.Client], headers: dict[str, str]
) -> None:
    answer = as_user("query").post("/", content=b"SELECT 1", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:1", "[::1]"])
def test_requests_for_a_host_name_of_this_machine_are_served(
    as_user: Callable[[str], httpx.Client], host: str
) -> None:
    answer = as_user("query").post("/", content=b"SELECT 1", headers={"Host": host})
    assert answer.status_code == 200


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


def test_the_users_of_a_clickhouse_server_are_sql_that_the_engine_parses(
    clickhouse_url: str,
) -> None:
    script = CliRunner().invoke(app, ["migrate", "--users"]).output
    statements = [
        line for line in script.splitlines() if line.strip() and not line.startswith("--")
    ]
    assert len(statements) > 10
    for statement in statements:
        answer = httpx.post(
            clickhouse_url,
            content=b"SELECT formatQuery({statement:String})",
            params={"param_statement": statement.rstrip(";")},
            auth=(STORE_USER, STORE_PASSWORD),
            timeout=WITHIN_S,
        )
        assert answer.status_code == 200, f"{statement}: {answer.text}"


def test_the_passwords_of_a_clickhouse_servers_users_are_new_each_time() -> None:
    passwords = re.compile(r"BY '([^']+)'")
    first, second = (
        set(passwords.findall(CliRunner().invoke(app, ["migrate", "--users"]).output))
        for _ in range(2)
    )
    assert len(first) == len(second) == 3
    assert not first & second


def test_a_store_without_any_password_is_refused(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        pytest.raises(AssertionError, match="the store ended with 1"),
        running_store(tmp_path, port, {"TRACEMILL_CLICKHOUSE_PASSWORD": ""}),
    ):
        pass


def test_only_the_owner_can_read_the_files_of_the_store(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running_store(tmp_path / "store", port):
        assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
        for name in ("engine.xml", "users.xml"):
            assert (tmp_path / "store" / name).stat().st_mode & 0o777 == 0o600
