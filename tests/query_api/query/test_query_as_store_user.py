"""The user of queries has the privileges that `/v1/query` needs, and no test needs more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clickhouse.store_users_for_tests import migrated, store_of, url
from tests.query_api.harness import make_api

__all__ = ["migrated", "url"]  # fixtures

BODIES: list[dict[str, Any]] = [
    {"measures": ["count", "cost_usd", "tokens", "latency_ms.p95"], "group_by": ["model"]},
    {"measures": ["cost_usd", "count"], "group_by": ["user_id"], "top": 3, "compare_with": "7d"},
    {
        "measures": ["latency_ms.histogram", "ttft_ms.p99.9", "output_tokens_per_s.avg", "traces",
                     "unpriced", "cache_exact", "prompt_cache_saved_usd", "tokens.input.p50",
                     "tokens.cache_read", "tokens.cache_write.avg"],
        "step": "1h", "exact_percentiles": True,
    },
    {"measures": ["count"], "group_by": ["tag", "metadata.key", "provider"], "step": "1mo"},
    {
        "view": "traces", "measures": ["count", "cost_usd.avg", "tokens"], "group_by": ["tag"],
        "filters": [{"field": "metadata", "key": "a.b", "operator": "contains", "value": "x"}],
    },
    {"view": "scores", "measures": ["value.p50", "value.avg"], "group_by": ["name", "model"]},
]  # fmt: skip


async def test_the_store_denies_no_query_and_no_explanation(migrated: str) -> None:
    store = store_of(migrated, "query")
    api, clients = make_api(store)
    try:
        for body in BODIES:
            for path in ("/v1/query", "/v1/query/explain"):
                answer = await api.client.post(path, json=body)
                assert answer.status_code == 200, (body, answer.text)
    finally:
        for client in clients:
            await client.aclose()
        await store.close()


@pytest.mark.parametrize("measure", ["tokens.it's", "tokens.{p0:String}", "tokens.$0$", "tokens.é"])
async def test_names_of_usage_types_are_values(migrated: str, measure: str) -> None:
    store = store_of(migrated, "query")
    api, clients = make_api(store)
    try:
        answer = await api.client.post("/v1/query", json={"measures": [measure]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"][0]["values"] == {measure: 0}
    finally:
        for client in clients:
            await client.aclose()
        await store.close()
