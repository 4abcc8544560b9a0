from collections.abc import AsyncIterator, Iterator

import pytest

from clickhouse.store import Store
from tests.query_api.harness import Api, Kept, kept_in, make_api


@pytest.fixture
async def api(clickhouse_store: Store) -> AsyncIterator[Api]:
    """The query API on an empty store of its own."""
    api, clients = make_api(clickhouse_store)
    yield api
    for client in clients:
        await client.aclose()


@pytest.fixture(scope="session")
def kept(clickhouse_url: str) -> Iterator[Kept]:
    with kept_in(clickhouse_url) as keep:
        yield keep
