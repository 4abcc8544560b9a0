"""Every measure, dimension and filter that the API names can be queried, alone and together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from query_api.query.native_fields import DIMENSIONS, MEASURES
from query_api.query.native_filters import FIELDS, OPERATORS
from query_api.store.conditions import Kind
from query_api.v1.query_bodies import FILTERS_MAX, MEASURES_MAX
from tests.query_api.harness import PROJECT, Api, Kept, opened
from tests.query_api.test_foreign_ids import OWN, rows_of

RANGE = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
VALUES: dict[Kind, Any] = {
    Kind.TEXT: "x", Kind.NUMBER: 1, Kind.MONEY: "0.5", Kind.TIME: RANGE["from"],
    Kind.FLAG: True, Kind.LIST: ["x"], Kind.OBJECT: "x",
}  # fmt: skip
VIEWS = tuple(MEASURES)


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    return kept(rows_of(PROJECT, OWN))


@pytest.fixture
async def stored(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as api:
        yield api


async def rows(api: Api, **body: Any) -> list[dict[str, Any]]:
    answer = await api.client.post("/v1/query", json={**RANGE, **body})
    assert answer.status_code == 200, (body, answer.text)
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def measures(view: Any) -> Iterator[str]:
    for name, native in MEASURES[view].items():
        yield from native.allowed(name)
    if view != "scores":
        yield from ("tokens.input", "tokens.input.avg", "tokens.input.p99.9")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("exact", [False, True])
async def test_every_measure_has_a_value(stored: Api, view: Any, exact: bool) -> None:
    found = list(measures(view))
    for at in range(0, len(found), MEASURES_MAX):
        names = found[at : at + MEASURES_MAX]
        for groups in ([], ["environment"]):
            for row in await rows(
                stored, view=view, measures=names, group_by=groups, exact_percentiles=exact,
                step="1d", compare_with="previous",
            ):  # fmt: skip
                assert set(row["values"]) == set(row["previous"]) == set(names)


@pytest.mark.parametrize("view", VIEWS)
async def test_rows_can_be_grouped_and_ordered_by_every_dimension(stored: Api, view: Any) -> None:
    metadata = [] if view == "scores" else ["metadata.key"]
    for name in (*DIMENSIONS[view], *metadata):
        spend_only = name == "user_tier"
        names = ["cost_usd"] if spend_only else ["count", "users" if view == "traces" else "count"]
        if view == "observations" and not spend_only:
            names = ["count", "traces"]  # only rows have traces
        body = {"view": view, "measures": names, "group_by": [name]}
        for options in ({"top": 1}, {"step": "1h", "order_by": f"-{name}"}):
            found = await rows(stored, **body, **options)
            assert len(found) == 1, (body, options)
            assert set(found[0]["group"]) == {name}


@pytest.mark.parametrize("view", VIEWS)
async def test_every_field_can_be_filtered_by_every_operator(stored: Api, view: Any) -> None:
    given = []
    for name, column in FIELDS[view].items():
        key = {"key": "k"} if column.kind is Kind.OBJECT else {}
        for operator in OPERATORS[column.kind]:
            value = ["x"] if operator in {"in", "not_in", "all_of"} else VALUES[column.kind]
            given.append({"field": name, "operator": operator, "value": value, **key})
    for at in range(0, len(given), FILTERS_MAX):
        await rows(stored, view=view, measures=["count"], filters=given[at : at + FILTERS_MAX])


async def test_spend_from_before_an_upgrade_is_not_used_for_counts(
    clickhouse_url: str, kept: Kept
) -> None:
    databases = [await asyncio.to_thread(kept, []) for _ in range(2)]
    body = {**RANGE, "measures": ["count", "cost_usd"], "group_by": ["user_id"]}
    async with opened(clickhouse_url, databases[0]) as api:
        await api.store.command(
            "INSERT INTO schema_history (number, name, checksum, applied_time, duration_ms)"
            " SELECT 6, 'spend', '', now64(3) - 86400, 0"
        )
        found = (await api.client.post("/v1/query/explain", json=body)).json()
        assert found["source"] == "observations"
        assert "measures: it does not have count" in str(found["excluded"])
        later = {**body, "from": "2100-01-01T00:00:00Z", "to": "2100-01-02T00:00:00Z"}
        found = (await api.client.post("/v1/query/explain", json=later)).json()
        assert found["source"] == "spend"
    async with opened(clickhouse_url, databases[1]) as api:
        found = (await api.client.post("/v1/query/explain", json=body)).json()
        assert found["source"] == "spend"


async def test_spend_from_before_an_upgrade_is_not_used_for_calls_without_a_price(
    clickhouse_url: str, kept: Kept
) -> None:
    database = await asyncio.to_thread(kept, [])
    body = {**RANGE, "measures": ["cost_usd", "unpriced"], "group_by": ["user_id"]}
    async with opened(clickhouse_url, database) as api:
        await api.store.command(
            "INSERT INTO schema_history (number, name, checksum, applied_time, duration_ms)"
            " SELECT 34, 'before', '', now64(3) - 86400, 0"
        )
        found = (await api.client.post("/v1/query/explain", json=body)).json()
        assert found["source"] == "observations"
        counts = {**body, "measures": ["cost_usd", "count"]}
        found = (await api.client.post("/v1/query/explain", json=counts)).json()
        assert found["source"] == "spend"
        later = {**body, "from": "2100-01-01T00:00:00Z", "to": "2100-01-02T00:00:00Z"}
        found = (await api.client.post("/v1/query/explain", json=later)).json()
        assert found["source"] == "spend"
