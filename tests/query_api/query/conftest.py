"""An API over the rows of the metrics' tests, and one row of another project."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.query_api.harness import OTHER, Api, Kept, observation, opened, score
from tests.query_api.test_metrics_routes import OBSERVATIONS, TRACES


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    theirs = observation("t0", "theirs", project_id=OTHER, model="m1", total_cost_pico=10**15)
    return kept([*TRACES, *OBSERVATIONS, theirs, score("s1", trace_id="t0", value=0.25)])


@pytest.fixture
async def stored(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as api:
        yield api
