"""Metrics are grouped by type of cost or usage, and by the tools of calls."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.query_api.harness import NOON_US, Api, Kept, observation, opened, trace

RANGE = {"fromTimestamp": "2026-11-21T00:00:00Z", "toTimestamp": "2026-11-22T00:00:00Z"}
CENT = 10**10


@pytest.fixture(scope="module")
def stored_calls(kept: Kept) -> str:
    return kept(
        [
            trace("a", user_id="ada"),
            observation(
                "a", "o1", NOON_US, model="m1",
                usage={"input": 10, "output": 4, "total": 14},
                cost_pico={"input": CENT, "output": 2 * CENT, "total": 3 * CENT},
                total_cost_pico=3 * CENT, tool_definitions={"search": "{}", "weather": "{}"},
                tool_calls=("{}", "{}", "{}"), tool_call_names=("search", "search", "weather"),
            ),
            observation(
                "a", "o2", NOON_US, model="m2", usage={"input": 5},
                total_cost_pico=CENT, tool_definitions={"search": "{}"},
            ),
            observation("a", "o3", NOON_US),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(clickhouse_url: str, stored_calls: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_calls) as api:
        yield api


async def rows(api: Api, path: str, measure: str, *dimensions: str, **more: Any) -> list[Any]:
    aggregation = more.pop("aggregation", "sum")
    query = {
        "view": "observations",
        "dimensions": [{"field": each} for each in dimensions],
        "metrics": [{"measure": measure, "aggregation": aggregation}],
        **RANGE,
        **more,
    }
    answer = await api.client.get(path, params={"query": json.dumps(query)})
    assert answer.status_code == 200, answer.text
    found = f"{aggregation}_{measure}"
    return [
        (*(row[each] for each in dimensions), pytest.approx(float(row[found])))
        for row in answer.json()["data"]
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/public/metrics", "/api/public/v2/metrics"])
@pytest.mark.parametrize(
    ("measure", "dimensions", "expected"),
    [
        ("costByType", ("costType",), {("output", 0.02), ("input", 0.01), ("total", 0.01)}),
        ("costByType", (), {(0.04,)}),
        ("usageByType", ("usageType",), {("input", 15), ("output", 4)}),
        ("usageByType", ("usageType", "providedModelName"),
            {("input", "m1", 10), ("input", "m2", 5), ("output", "m1", 4)}),
        ("usageByType", (), {(19,)}),
        ("toolDefinitions", (), {(3,)}),
        ("toolCalls", ("providedModelName",), {("m1", 3), ("m2", 0), (None, 0)}),
        ("toolCalls", ("calledToolNames",), {("search", 3), ("weather", 3)}),
    ],
)  # fmt: skip
async def test_measures_are_those_of_a_type_or_tool(
    calls: Api, path: str, measure: str, dimensions: tuple[str, ...], expected: set[Any]
) -> None:
    found = await rows(calls, path, measure, *dimensions)
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.asyncio(loop_scope="module")
async def test_calls_are_counted_under_each_of_their_tools(calls: Api) -> None:
    path = "/api/public/v2/metrics"
    found = await rows(calls, path, "count", "toolNames", aggregation="count")
    assert found == [("search", 2), ("weather", 1)]
    steps = await rows(
        calls, path, "usageByType", "usageType", timeDimension={"granularity": "day"}
    )
    assert sorted(steps) == [("input", 15), ("output", 4)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/public/observations", "/api/public/v2/observations"])
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "arrayOptions", "column": "toolNames", "operator": "all of",
            "value": ["search", "weather"]}, {"o1"}),
        ({"type": "arrayOptions", "column": "calledToolNames", "operator": "none of",
            "value": ["weather"]}, {"o2", "o3"}),
        ({"type": "number", "column": "toolDefinitions", "operator": ">=", "value": 1},
            {"o1", "o2"}),
        ({"type": "number", "column": "toolCalls", "operator": "=", "value": 3}, {"o1"}),
    ],
)  # fmt: skip
async def test_observations_are_filtered_by_their_tools(
    calls: Api, path: str, entry: dict[str, Any], expected: set[str]
) -> None:
    answer = await calls.client.get(path, params={"filter": json.dumps([entry])})
    assert answer.status_code == 200, answer.text
    assert {each["id"] for each in answer.json()["data"]} == expected
    total = await rows(
        calls, "/api/public/v2/metrics", "count", aggregation="count", filters=[entry]
    )
    assert total == [(len(expected),)]
