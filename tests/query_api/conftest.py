from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.query_api.harness import Api, Kept, kept_in, opened


@pytest.fixture
async def api(clickhouse_url: str, shared_database: str) -> AsyncIterator[Api]:
    """The query API on an empty store."""
    async with opened(clickhouse_url, shared_database) as api:
        await api.empty()
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing_api(clickhouse_url: str, shared_database: str) -> AsyncIterator[Api]:
    """The query API for tests of a module that store nothing; they run in the module's loop."""
    async with opened(clickhouse_url, shared_database) as api:
        yield api


@pytest.fixture(scope="session")
def shared_database(kept: Kept) -> str:
    """Emptied for each test: that takes a tenth of the time of migrating another one."""
    return kept([])


@pytest.fixture(scope="session")
def kept(clickhouse_url: str, migrated_database: str) -> Iterator[Kept]:
    with kept_in(clickhouse_url, migrated_database) as keep:
        yield keep
