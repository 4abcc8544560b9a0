"""Dashboards: charts that can be answered, If-Match, limits, and definitions that are sent back."""

from __future__ import annotations

from typing import Any

import pytest

from query_api.console.first_dashboard import cost_and_latency
from query_api.openapi.dashboard_examples import DASHBOARD_REQUEST_EXAMPLE
from tests.query_api.harness import PROJECT, Api

PATH = "/v1/dashboards"
COST = {"title": "Cost", "chart": "line", "query": {"measures": ["cost_usd"]}}


def with_tile(**changed: Any) -> dict[str, Any]:
    return {"name": "d", "tiles": [COST, COST, {**COST, **changed}]}


def with_query(chart: str = "line", **query: Any) -> dict[str, Any]:
    return with_tile(chart=chart, query={"measures": ["cost_usd"], **query})


async def test_dashboards_are_created_listed_replaced_and_deleted(api: Api) -> None:
    made = await api.client.post(PATH, json=DASHBOARD_REQUEST_EXAMPLE)
    assert made.status_code == 201, made.text
    dashboard = made.json()
    assert {name: dashboard[name] for name in DASHBOARD_REQUEST_EXAMPLE} == (
        DASHBOARD_REQUEST_EXAMPLE
    )
    assert dashboard["author"] == f"pk-{PROJECT}"
    path = f"{PATH}/{dashboard['id']}"
    # Names need not be unique.
    other = await api.client.post(PATH, json=DASHBOARD_REQUEST_EXAMPLE)
    assert other.json()["id"] != dashboard["id"]
    listed = (await api.client.get(f"{PATH}?limit=1")).json()
    assert [each["id"] for each in listed["data"]] == [other.json()["id"]]
    cursor = {"cursor": listed["meta"]["cursor"]}
    assert (await api.client.get(PATH, params=cursor)).json()["data"] == [dashboard]

    read = await api.client.get(path)
    assert read.headers["etag"] == made.headers["etag"]
    # What is read can be sent back, with a change.
    sent = {**read.json(), "name": "Renamed"}
    match = {"If-Match": read.headers["etag"]}
    changed = await api.client.put(path, json=sent, headers=match)
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["id"]) == ("Renamed", dashboard["id"])
    assert changed.json()["tiles"] == dashboard["tiles"]
    for method in ("put", "delete"):
        content = {"json": sent} if method == "put" else {}
        stale = await api.client.request(method, path, headers=match, **content)
        assert stale.status_code == 409
    for client, status in ((api.other, 404), (api.client, 204), (api.client, 404)):
        assert (await client.delete(path)).status_code == status
    assert (await api.client.put(path, json=sent)).status_code == 404


async def test_queries_are_stored_as_they_were_given(api: Api) -> None:
    query = {
        "view": "traces", "measures": ["count", "latency_ms.p95"], "group_by": ["user_id"],
        "formulas": {"each": "count / 2"}, "filter": {"environment": ["production"]},
        "filters": [{"field": "latency_ms", "operator": ">", "value": 10}],
        "compare_with": "previous", "top": 5, "time_zone": "Europe/Berlin",
    }  # fmt: skip
    made = await api.client.post(PATH, json=with_query("table", **query))
    assert made.status_code == 201, made.text
    assert made.json()["tiles"][2]["query"] == query
    answer = await api.client.post("/v1/query", json=made.json()["tiles"][2]["query"])
    assert answer.status_code == 200


async def test_the_first_dashboard_is_accepted(api: Api) -> None:
    made = await api.client.post(PATH, json=cost_and_latency(str))
    assert made.status_code == 201, made.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (with_query(measures=["beauty"]), "tiles.2.query.measures.0", "'beauty' is not a measure"),
        (with_query(group_by=["planet"]), "tiles.2.query.group_by.0", "not a dimension"),
        (with_query(filter={"planet": ["mars"]}), "tiles.2.query.filter.planet", "not a field"),
        (with_query(formulas={"x": "1 +"}), "tiles.2.query.formulas.x", "unexpected end"),
        (with_query(planet=1), "tiles.2.query.planet", "unknown field"),
        (with_query(**{"from": "2026-01-01T00:00:00Z"}), "tiles.2.query.from", "has the range"),
        (with_query(limit=1), "tiles.2.query.limit", "is not allowed"),
        (with_query("bar"), "tiles.2.query.group_by", "required for bars"),
        (with_query("number", group_by=["model"]), "tiles.2.query.group_by", "not allowed"),
        (with_query("table", step="1h"), "tiles.2.query.step", "not allowed for table"),
        (with_query("heatmap"), "tiles.2.query.measures", "such as latency_ms.histogram"),
        (with_query(measures=["latency_ms.histogram"]), "tiles.2.query.measures.0", "not a number"),
        (with_query(measures=["tokens"]), "tiles.2.query.measures.0", "not a number"),
        (with_query(measures=["count"] * 9), "tiles.2.query.measures", "at most 8"),
        (with_query(order_by="beauty"), "tiles.2.query.order_by", "order_by"),
        (with_tile(chart="pie"), "tiles.2.chart", "line, columns"),
        (with_tile(width=5), "tiles.2.width", "4 or less"),
        (with_tile(height=0), "tiles.2.height", "1 or more"),
        ({"name": "d", "tiles": [COST] * 25}, "tiles", "at most 24"),
        ({"name": ""}, "name", "at least 1"),
        (with_tile(title="x" * 201), "tiles.2.title", "it has 201 characters; at most 200"),
        ({"name": "d", "range": "1y"}, "range", "1h, 6h"),
        ({"name": "d", "variables": [{"name": "x", "dimension": "planet"}]},
         "variables.0.dimension", "'planet' is not one of"),
        ({"name": "d", "variables": [{"name": "x", "dimension": "model"}] * 2},
         "variables.1.name", "two variables with the name 'x'"),
        ({"name": "d", "variables": [{"name": "x", "dimension": "model"},
                                     {"name": "y", "dimension": "model"}]},
         "variables.1.dimension", "two variables with the dimension 'model'"),
        ({"name": "d", "variables": [{"name": "x", "dimension": "model", "values": ["a"] * 51}]},
         "variables.0.values", "at most 50"),
    ],
)  # fmt: skip
async def test_a_dashboard_whose_charts_cannot_be_answered_is_refused(
    refusing_api: Api, body: dict[str, Any], field: str, message: str
) -> None:
    refused = await refusing_api.client.post(PATH, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field
    assert message in refused.json()["error"]["message"]
