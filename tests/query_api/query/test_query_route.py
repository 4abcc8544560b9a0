"""`POST /v1/query` answers what plain Python computes from the same rows."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.query_api.harness import Api
from tests.query_api.query.requests import RANGE, queried
from tests.query_api.test_metrics_routes import DAY_US, NOON_US, OBSERVATIONS, TRACES, USER_OF

VOLUMES = {"hot", "cold"}
"""Depends on the age of the rows."""


def cost_by(key: Any, rows: Any = OBSERVATIONS) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[key(row)] += Decimal(row.total_cost_pico) / 10**12
    return dict(sums)


def user_of(row: Any) -> str:
    return USER_OF[row.trace_id]


async def test_costs_by_user_are_exact(stored: Api) -> None:
    found = await queried(stored, measures=["cost_usd", "count", "traces"], group_by=["user_id"])
    by_user = {row["group"]["user_id"]: row["values"] for row in found["data"]}
    assert {user: Decimal(each["cost_usd"]) for user, each in by_user.items()} == cost_by(user_of)
    assert {each["count"] for each in by_user.values()} == {8}
    assert {each["traces"] for each in by_user.values()} == {4}
    costs = [Decimal(row["values"]["cost_usd"]) for row in found["data"]]
    assert costs == sorted(costs, reverse=True)
    meta = found["meta"]
    assert set(meta["sources"]) <= VOLUMES
    assert meta["rows_read"] > 0
    assert (meta["has_more"], meta["fresh_until"]) == (False, None)
    assert meta["percentile_relative_error"] is None


async def test_without_groups_every_step_is_there(stored: Api) -> None:
    body = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-26T00:00:00Z", "step": "1d"}
    found = await queried(
        stored, **body, measures=["count", "cost_usd", "users", "latency_ms.max", "tokens"]
    )
    rows = found["data"]
    assert [row["start"][8:10] for row in rows] == ["20", "21", "22", "23", "24", "25"]
    assert rows[0]["values"] == {
        "count": 0, "cost_usd": "0", "users": 0, "latency_ms.max": None, "tokens": {},
    }  # fmt: skip
    assert sum(row["values"]["count"] for row in rows) == len(OBSERVATIONS)
    assert sum(Decimal(row["values"]["cost_usd"]) for row in rows) == cost_by(lambda _: "")[""]


async def test_days_are_those_of_the_time_zone(stored: Api) -> None:
    found = await queried(
        stored, **{"from": "2026-10-24T22:00:00Z", "to": "2026-10-26T23:00:00Z"}, step="1d",
        time_zone="Europe/Berlin", measures=["count"],
    )  # fmt: skip
    assert [(row["start"], row["end"]) for row in found["data"]] == [
        ("2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),
        ("2026-10-25T23:00:00.000Z", "2026-10-26T23:00:00.000Z"),
    ]


async def test_a_range_may_be_a_duration_before_now(stored: Api) -> None:
    found = await queried(stored, **{"from": "-7d", "to": "-1d"}, measures=["count"])
    bounds = [datetime.fromisoformat(found["meta"][name]) for name in ("from", "to")]
    assert timedelta(days=6) <= bounds[1] - bounds[0] <= timedelta(days=6, seconds=20)
    assert abs(datetime.now(UTC) - bounds[1] - timedelta(days=1)) < timedelta(minutes=5)
    for wrong in ("-", "-x", "-99999w", "yesterday"):
        refused = await stored.client.post("/v1/query", json={"from": wrong, "measures": ["count"]})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "from")


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"order_by": "user_id"},
        {"order_by": "-latency_ms.avg"},
        {"order_by": "latency_ms.p50"},
        {"order_by": "-cost_usd"},
    ],
)
@pytest.mark.parametrize("step", [{}, {"step": "1d"}])
async def test_pages_have_every_row_once(
    stored: Api, order: dict[str, str], step: dict[str, str]
) -> None:
    body = {
        "measures": ["cost_usd", "latency_ms.avg", "latency_ms.p50", "output_tokens_per_s.p95"],
        "group_by": ["user_id", "model", "trace_name"], **order, **step,
    }  # fmt: skip
    whole = await queried(stored, **body, limit=1000)
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(50):
        page = await queried(stored, **body, limit=5, **cursor)
        rows += page["data"]
        if not page["meta"]["has_more"]:
            break
        cursor = {"cursor": page["meta"]["cursor"]}
    assert rows == whole["data"]
    assert len(rows) > 5


@pytest.mark.parametrize("order", ["start", "-start", "cost_usd", "-latency_ms.max"])
async def test_pages_of_a_series_have_every_step_once(stored: Api, order: str) -> None:
    body = {"measures": ["cost_usd", "latency_ms.max"], "step": "1h", "order_by": order}
    whole = await queried(stored, **body, limit=1000)
    first = await queried(stored, **body, limit=50)
    second = await queried(stored, **body, limit=50, cursor=first["meta"]["cursor"])
    assert first["data"] + second["data"] == whole["data"]
    assert len(whole["data"]) == 96


async def test_other_groups_are_combined(stored: Api) -> None:
    costs = cost_by(lambda row: row.id)
    largest = sorted(costs, key=lambda each: -costs[each])[:3]
    found = await queried(stored, measures=["cost_usd", "count"], group_by=["id"], top=3)
    shown = [row["group"]["id"] for row in found["data"] if not row["is_other"]]
    (other,) = [row for row in found["data"] if row["is_other"]]
    assert set(shown) == set(largest)
    assert other["group"] == {}
    assert other["values"]["count"] == len(OBSERVATIONS) - 3
    rest = sum(cost for each, cost in costs.items() if each not in largest)
    assert Decimal(other["values"]["cost_usd"]) == rest


async def test_the_top_groups_are_those_of_the_whole_range(stored: Api) -> None:
    found = await queried(
        stored, measures=["cost_usd", "traces"], group_by=["user_id"], top=1, step="1d",
        compare_with="1d",
    )  # fmt: skip
    costs = cost_by(user_of)
    largest = max(costs, key=lambda each: costs[each])
    assert {row["group"].get("user_id") for row in found["data"]} == {largest, None}
    total = sum(Decimal(row["values"]["cost_usd"]) for row in found["data"])
    assert total == sum(costs.values())


async def test_values_are_compared_with_those_of_an_earlier_period(stored: Api) -> None:
    body = {"from": "2026-11-22T12:00:00Z", "to": "2026-11-23T12:00:00Z"}
    middle, begin = NOON_US + DAY_US, NOON_US
    now = cost_by(user_of, [o for o in OBSERVATIONS if middle <= o.start_us < middle + DAY_US])
    before = cost_by(user_of, [o for o in OBSERVATIONS if begin <= o.start_us < middle])
    for compared in ("previous", "1d", 86_400):
        found = await queried(
            stored, **body, measures=["cost_usd", "traces"], group_by=["user_id"],
            compare_with=compared,
        )  # fmt: skip
        assert len(found["data"]) == 3
        for row in found["data"]:
            user = row["group"]["user_id"]
            assert Decimal(row["previous"]["cost_usd"]) == before.get(user, 0)
            expected = float((now[user] - before[user]) / before[user])
            assert row["change"]["cost_usd"] == pytest.approx(expected, abs=1e-6)
        assert found["meta"]["compared_from"] == "2026-11-21T12:00:00.000Z"


async def test_formulas_are_computed_from_measures_that_need_not_be_shown(stored: Api) -> None:
    found = await queried(
        stored, measures=["count"], group_by=["model"],
        formulas={
            "doubled": "per_trace * 2", "per_trace": "cost_usd / traces",
            "nothing": "count / (count - count)", "share": "tokens.input / tokens.total",
        },
    )  # fmt: skip
    for row in found["data"]:
        own = [o for o in OBSERVATIONS if o.model == row["group"]["model"]]
        per_trace = sum(o.total_cost_pico for o in own) / 10**12 / len({o.trace_id for o in own})
        values = row["values"]
        assert values["per_trace"] == pytest.approx(per_trace)
        assert values["doubled"] == pytest.approx(2 * per_trace)
        assert values["nothing"] is None
        assert 0 < values["share"] < 1
        assert set(values) == {"count", "doubled", "per_trace", "nothing", "share"}


async def test_a_heatmap_counts_every_call(stored: Api) -> None:
    found = await queried(stored, measures=["latency_ms.histogram"], step="1d")
    buckets = [each for row in found["data"] for each in row["values"]["latency_ms.histogram"]]
    assert sum(each["count"] for each in buckets) == len(OBSERVATIONS)
    assert all(each["from"] < each["to"] for each in buckets)


async def test_costs_have_percentiles_extremes_and_histograms(stored: Api) -> None:
    names = ["cost_usd.p50", "cost_usd.min", "cost_usd.max", "cost_usd.avg", "cost_usd.histogram"]
    (row,) = (await queried(stored, measures=[*names, "count"]))["data"]
    costs = sorted(Decimal(each.total_cost_pico) / 10**12 for each in OBSERVATIONS)
    values = row["values"]
    assert Decimal(values["cost_usd.min"]) == costs[0]
    assert Decimal(values["cost_usd.max"]) == costs[-1]
    assert float(values["cost_usd.p50"]) == pytest.approx(float(costs[11]))
    assert float(values["cost_usd.avg"]) == pytest.approx(float(sum(costs) / 24))
    assert sum(each["count"] for each in values["cost_usd.histogram"]) == 24


async def test_a_filter_may_have_many_values(stored: Api) -> None:
    values = [f"{number}-{'é' * 40}" for number in range(500)]
    found = await queried(stored, measures=["count", "traces"], filter={"model": [*values, "m1"]})
    assert found["data"][0]["values"]["count"] == 12


async def test_a_call_counts_under_each_tag_of_its_trace(stored: Api) -> None:
    found = await queried(stored, measures=["count"], group_by=["tag"])
    counts = {row["group"]["tag"]: row["values"]["count"] for row in found["data"]}
    assert counts == {"a": 24, "b": 12}
    top = await queried(stored, measures=["count"], group_by=["tag"], top=1)
    assert [(row["group"], row["values"]["count"]) for row in top["data"]] == [
        ({"tag": "a"}, 24), ({}, 12),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"filter": {"model": ["m1"], "user_id": ["ada"]}}, 4),
        ({"filter": {"tags": ["b"]}}, 12),
        ({"filters": [{"field": "latency_ms", "operator": ">=", "value": 0}]}, 24),
        ({"filters": [{"field": "user_id", "operator": "is_set"}]}, 16),
        ({"filters": [{"field": "name", "operator": "ends_with", "value": "-1"}]}, 12),
        ({"filters": [{"field": "cost_usd", "operator": "<", "value": "0"}]}, 0),
        ({"filters": [{"field": "start", "operator": "<", "value": "2026-11-21T12:00:01Z"}]}, 1),
        ({"filters": [{"field": "tags", "operator": "all_of", "value": ["a", "b"]}]}, 12),
        ({"filters": [{"field": "metadata", "key": "k", "operator": "=", "value": 1}]}, 0),
    ],
)
async def test_filters_select_rows(stored: Api, given: dict[str, Any], expected: int) -> None:
    found = await queried(stored, measures=["count", "traces"], **given)
    assert [row["values"]["count"] for row in found["data"]] == [expected]


async def test_traces_and_scores_are_views_of_their_own(stored: Api) -> None:
    traces = await queried(
        stored, view="traces", measures=["count", "cost_usd", "latency_ms.p95"], group_by=["name"]
    )
    assert sum(row["values"]["count"] for row in traces["data"]) == len(TRACES)
    scores = await queried(stored, view="scores", measures=["value.avg"], group_by=["user_id"])
    assert [(row["group"], row["values"]) for row in scores["data"]] == [
        ({"user_id": "ada"}, {"value.avg": 0.25})
    ]


async def test_a_project_sees_only_its_rows(stored: Api) -> None:
    answer = await stored.other.post(
        "/v1/query", json={**RANGE, "measures": ["count", "cost_usd"], "group_by": ["id"]}
    )
    assert [row["group"] for row in answer.json()["data"]] == [{"id": "theirs"}]


async def test_an_explanation_names_the_source_and_why_cheaper_ones_cannot_answer(
    stored: Api,
) -> None:
    body = {**RANGE, "measures": ["latency_ms.p95"], "group_by": ["user_id"], "step": "1d"}
    answer = await stored.client.post("/v1/query/explain", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["source"] == "observations"
    assert set(found["sources"]) <= VOLUMES
    excluded = {each["source"]: " ".join(each["reasons"]) for each in found["excluded"]}
    assert "user_id" in excluded["windows"]
    assert "latency_ms.p95" in excluded["spend"]
    assert {each["table"] for each in found["tables"]} == {"observations_slim", "traces"}
    assert all(each["rows"] > 0 and each["bytes"] > 0 for each in found["tables"])
    assert found["meta"]["percentile_relative_error"] == 0.01

    exact = {**body, "exact_percentiles": True, "group_by": ["model"], "time_zone": "Asia/Kolkata"}
    found = (await stored.client.post("/v1/query/explain", json=exact)).json()
    assert found["source"] == "observations"
    assert found["meta"]["percentile_relative_error"] == 0

    rolled = {**body, "group_by": ["model"], "compare_with": "previous"}
    found = (await stored.client.post("/v1/query/explain", json=rolled)).json()
    assert (found["source"], found["excluded"]) == ("windows", [])
    assert sum(found["seconds"].values()) == 4 * 86_400
