"""`POST /v1/query` refuses what it cannot answer, with the field and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from query_api.settings import QuerySettings
from tests.query_api.harness import Api, opened
from tests.query_api.query.requests import RANGE, queried
from tests.query_api.test_scopes import key_with


@pytest.mark.parametrize(
    ("body", "field", "named"),
    [
        ({"measures": []}, "measures", "at least one"),
        ({"measures": ["count.p95"]}, "measures.0", "count"),
        ({"measures": ["latency_ms"]}, "measures.0", "latency_ms.p95"),
        ({"measures": ["latency_ms.p0"]}, "measures.0", "from p0.001 to p99.999"),
        ({"measures": ["latency_ms.p0.0"]}, "measures.0", "from p0.001 to p99.999"),
        ({"measures": ["latency_ms.p100"]}, "measures.0", "from p0.001 to p99.999"),
        ({"measures": ["latency_ms.p99.9999"]}, "measures.0", "from p0.001 to p99.999"),
        ({"measures": ["latency_ms.p0.001", "cost_usd.p99.999"]}, "", ""),
        ({"measures": ["weight"]}, "measures.0", "cost_usd"),
        ({"measures": ["tokens."]}, "measures.0", "tokens.TYPE"),
        ({"measures": ["users.avg"]}, "measures.0", "users"),
        ({"measures": ["count"], "view": "spans"}, "view", "traces"),
        ({"measures": ["count"], "group_by": ["color"]}, "group_by.0", "model"),
        ({"measures": ["count"], "order_by": "-model"}, "order_by", "count"),
        ({"measures": ["count"], "filter": {"color": ["red"]}}, "filter.color", "model"),
        ({"measures": ["count"], "filter": {"model": ["a"] * 1_001}}, "filter.model", "1000"),
        ({"measures": ["count"], "filter": {"model": ["a"] * 1_000}}, "", ""),
        (
            {"measures": ["count"], "filters": [{"field": "model", "operator": ">", "value": "a"}]},
            "filters.0.operator", "starts_with",
        ),
        (
            {"measures": ["count"],
             "filters": [{"field": "latency_ms", "operator": ">", "value": "a"}]},
            "filters.0.value", "number",
        ),
        ({"formulas": {"x": "cost / traces"}}, "formulas.x", "at position 0"),
        ({"formulas": {"x": "traces / cost"}}, "formulas.x", "at position 9"),
        ({"formulas": {"x": "count +"}}, "formulas.x", "at position 7"),
        ({"formulas": {"x": "tokens + 1"}}, "formulas.x", "not a number"),
        ({"formulas": {"x": "y", "y": "z", "z": "x"}}, "formulas.x", "x → y → z → x"),
        ({"formulas": {"count": "errors"}}, "formulas.count", "name of a measure"),
        ({"measures": ["count"], "from": RANGE["to"], "to": RANGE["from"]}, "from", "before"),
        ({"measures": ["count"], "from": "1990-01-01T00:00:00Z"}, "from", "days before"),
        ({"measures": ["count"], "step": "10s"}, "step", "steps of 10s"),
        ({"measures": ["count"], "step": "7m"}, "step", "15m"),
        ({"measures": ["count"], "limit": 1001}, "limit", "at most 1000"),
        ({"measures": ["count"], "limit": 0}, "limit", "1"),
        ({"measures": ["count"], "top": 5}, "top", "group_by"),
        ({"measures": ["tokens"], "group_by": ["model"], "top": 5}, "top", "number"),
        ({"measures": ["count"], "compare_with": "yesterday"}, "compare_with", "previous"),
        ({"measures": ["count"], "compare_with": "1100d"}, "", ""),
        ({"measures": ["count"], "time_zone": "Mars"}, "time_zone", "IANA"),
        ({"measures": ["count"], "cursor": "x"}, "cursor", "cursor"),
        ({"measures": ["latency_ms.p95"], "group_by": ["user_tier"]}, "group_by", "user_tier"),
        (
            {"measures": ["cost_usd"], "group_by": ["user_tier"], "compare_with": "10s"},
            "group_by", "user_tier",
        ),
        (
            {"measures": ["count"],
             "filters": [{"field": "metadata", "operator": "=", "key": "a", "value": 10**400}]},
            "filters.0.value", "number",
        ),
        ({"measures": ["count"], "color": 1}, "color", "measures"),
    ],
)  # fmt: skip
async def test_an_error_names_the_field_and_what_is_allowed(
    stored: Api, body: dict[str, Any], field: str, named: str
) -> None:
    answer = await stored.client.post("/v1/query", json={**RANGE, **body})
    if not field:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert named in error["message"] or named in error.get("allowed", ())


async def test_formulas_are_nested_up_to_a_limit(stored: Api) -> None:
    chain = {f"f{at}": f"f{at + 1} + 1" for at in range(12)}
    answer = await stored.client.post("/v1/query", json={"formulas": {**chain, "f12": "count"}})
    assert answer.status_code == 422
    assert "at most 10 formulas" in answer.json()["error"]["message"]


async def test_a_cursor_fits_only_its_query(stored: Api) -> None:
    body = {"measures": ["count"], "group_by": ["id"], "limit": 1}
    cursor = (await queried(stored, **body))["meta"]["cursor"]
    for other in ({"group_by": ["model"]}, {"step": "1d"}, {"filter": {"model": ["m1"]}}):
        answer = await stored.client.post(
            "/v1/query", json={**RANGE, **body, **other, "cursor": cursor}
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["field"] == "cursor"


async def test_too_many_rows_are_refused(clickhouse_url: str, stored_rows: str) -> None:
    settings = QuerySettings(window_rows_max=5)
    async with opened(clickhouse_url, stored_rows, settings) as api:
        body = {**RANGE, "measures": ["count"], "group_by": ["id"], "top": 10}
        answer = await api.client.post("/v1/query", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "query_too_costly"


async def test_a_key_that_only_reads_may_query(stored: Api) -> None:
    body = {**RANGE, "measures": ["count"]}
    for scope, status in (("read", 200), ("write", 403), ("ingest", 403)):
        for path in ("/v1/query", "/v1/query/explain"):
            answer = await stored.anonymous.post(path, auth=key_with(stored, scope), json=body)
            assert answer.status_code == status, answer.text


async def test_a_query_that_costs_too_much_is_refused(
    clickhouse_url: str, stored_rows: str
) -> None:
    settings = QuerySettings(rows_to_read_max=5)
    async with opened(clickhouse_url, stored_rows, settings) as api:
        body = {**RANGE, "measures": ["count"], "group_by": ["id"]}
        answer = await api.client.post("/v1/query", json=body)
    assert answer.status_code == 422
    assert "rows_to_read_max" in answer.json()["error"]["message"]
