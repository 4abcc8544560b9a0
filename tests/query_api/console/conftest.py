"""A store that the tests of a module fill once, with the fixture `database`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.query_api.console.browser import signed_in
from tests.query_api.harness import Api, opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled_api(clickhouse_url: str, database: str) -> AsyncIterator[Api]:
    """The application on the module's store."""
    async with opened(clickhouse_url, database) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(filled_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is signed in to it."""
    async with signed_in(filled_api) as found:
        yield found
