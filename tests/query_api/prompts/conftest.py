"""The query API on a control plane in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.query_api.harness import Api, Kept, opened


@pytest.fixture
async def api(clickhouse_url: str, kept: Kept) -> AsyncIterator[Api]:
    """The query API; prompts need no store."""
    async with opened(clickhouse_url, "no_store_is_needed") as api:
        yield api
