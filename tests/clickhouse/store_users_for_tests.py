"""A store with the users of an installation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import httpx
import pytest

from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from tests.fixtures.store import running_store

PASSWORDS: Final = {user: f"password-of-{user}" for user in ("ingest", "query", "migrate")}


TABLE: Final = "tracemill.schema_history"


WITHIN_S: Final = 60.0


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with the three users of an installation and no administrator."""
    (port,) = free_ports(1)
    environment = {
        f"TRACEMILL_STORE_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()
    } | {"TRACEMILL_CLICKHOUSE_PASSWORD": ""}
    with running_store(tmp_path_factory.mktemp("users"), port, environment):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
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
