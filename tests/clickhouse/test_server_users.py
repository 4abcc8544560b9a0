"""`tracemill migrate --users` prints SQL that creates the users of a ClickHouse server."""

from __future__ import annotations

import re

import httpx
from typer.testing import CliRunner

from deploy.cli import app
from tests.clickhouse.store_users_for_tests import WITHIN_S
from tests.fixtures.store import STORE_PASSWORD, STORE_USER


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
