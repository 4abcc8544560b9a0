"""Clients of the embedded store, and a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from tests.fixtures.store import STORE_PASSWORD, STORE_USER

MINUTE_OF_CPU = "SELECT sum(cityHash64(number)) FROM numbers(100000000000)"


WITHIN_S = 60.0


AUTH = (STORE_USER, STORE_PASSWORD)


LOGIN = {"username": STORE_USER, "password": STORE_PASSWORD}


@pytest.fixture
async def client(clickhouse_url: str) -> AsyncIterator[AsyncClient]:
    url = httpx.URL(clickhouse_url)
    async with await clickhouse_connect.get_async_client(
        host=url.host, port=url.port, **LOGIN
    ) as client:
        yield client


@pytest.fixture
def http(clickhouse_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=clickhouse_url, timeout=30, auth=AUTH) as http:
        yield http


@pytest.fixture
async def table(client: AsyncClient, topic_prefix: str) -> AsyncIterator[str]:
    name = topic_prefix.replace("-", "_")
    await client.command(
        f"CREATE TABLE {name}"
        " (a Int32, s String, t DateTime64(6, 'UTC'), m Map(String, Decimal(38, 12)))"
        " ENGINE = MergeTree ORDER BY a"
    )
    yield name
    await client.command(f"DROP TABLE {name} SYNC")
