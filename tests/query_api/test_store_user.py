"""The user of queries may run every query of the API, with its settings."""

from __future__ import annotations

from query_api.errors import QueryApiError
from query_api.settings import QuerySettings
from query_api.store.reader import Reader
from tests.clickhouse.store_users_for_tests import migrated, store_of, url
from tests.query_api.golden_sql.aggregates import AGGREGATES
from tests.query_api.golden_sql.alerts import ALERTS
from tests.query_api.golden_sql.documents import DOCUMENTS
from tests.query_api.golden_sql.observations import OBSERVATIONS
from tests.query_api.golden_sql.owners import OWNERS
from tests.query_api.golden_sql.traces import TRACES
from tests.query_api.golden_sql.windows import WINDOWS

__all__ = ["migrated", "url"]  # fixtures

EXAMPLES = [*TRACES, *OBSERVATIONS, *OWNERS, *WINDOWS, *ALERTS, *DOCUMENTS, *AGGREGATES]


async def test_the_store_denies_no_query_to_the_user_of_queries(migrated: str) -> None:
    store = store_of(migrated, "query")
    reader = Reader(store, QuerySettings())
    denied, found = [], 0
    try:
        for query, _, _ in EXAMPLES:
            try:
                await reader.rows(query, dict)
                found += 1
            except QueryApiError as error:  # some examples select columns that do not exist
                if "ACCESS_DENIED" in str(error.__cause__):
                    denied.append((query.name, str(error.__cause__)[:300]))
    finally:
        await store.close()
    assert not denied
    assert found > len(EXAMPLES) // 2
