"""The embedded store runs nothing without the password of a user."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from deploy.embedded.ports import free_ports
from tests.clickhouse.store_users_for_tests import PASSWORDS, TABLE, WITHIN_S
from tests.fixtures.store import running_store

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
