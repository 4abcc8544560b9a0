from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clickhouse.rows import SpendRow
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api

NOON_S = NOON_US // 10**6
NOON = datetime.fromtimestamp(NOON_S, UTC)
PATH = "/v1/budgets/backtest"
BUDGET: dict[str, Any] = {"name": "b", "period": "day", "limit_usd": "10"}


def at(hours: float) -> str:
    return (NOON + timedelta(hours=hours)).isoformat()


def spend(at_h: float, usd: float, user_id: str = "u1", **fields: Any) -> SpendRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "user_id": user_id, "model": "m", "environment": "e",
        "total_cost_pico": round(usd * 10**12), "row_version": 1,
    }  # fmt: skip
    return SpendRow(bucket_s=NOON_S + round(at_h * 3_600), **(given | fields))


async def past(api: Api, budget: dict[str, Any], from_h: float, to_h: float) -> dict[str, Any]:
    body = {"budget": BUDGET | budget, "from": at(from_h), "to": at(to_h)}
    answer = await api.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def events(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (each["at"][:16], each.get("threshold"), each["group"].get("user_id"), each["spent_usd"])
        for each in found["events"]
    ]


async def test_a_budget_would_have_crossed_its_thresholds_at_these_times(api: Api) -> None:
    await api.insert(
        *(spend(n, 1) for n in range(-14, 10)),
        spend(0, 1_000, project_id=OTHER),
        spend(1, 1_000, environment="other"),
    )
    found = await past(api, {"scope": {"environment": "e"}}, -12, 10)
    assert events(found) == [
        ("2026-11-21T07:15", 0.8, None, "8"),
        ("2026-11-21T09:15", 1.0, None, "10"),
    ]
    assert [each["type"] for each in found["alerts"]] == ["budget.threshold_crossed"] * 2
    (series,) = found["series"]
    assert (series["limit_usd"], series["points"][-1]["spent_usd"]) == ("10", "22")
    assert (found["resolution_s"], found["groups"], found["truncated"]) == (900, 1, False)


async def test_spend_of_the_period_from_before_the_range_counts_silently(api: Api) -> None:
    await api.insert(spend(-11, 8.5), spend(-1, 1), spend(1, 1))
    found = await past(api, {}, 0, 4)
    assert events(found) == [("2026-11-21T13:15", 1.0, None, "10.5")]


@pytest.mark.parametrize("period", ["rolling_2h", "hour", "week", "month", "total"])
async def test_periods_add_up_what_belongs_to_them(api: Api, period: str) -> None:
    await api.insert(spend(-5, 6), spend(-0.5, 6), spend(1, 6), spend(4, 6))
    found = await past(api, {"period": period, "thresholds": [1]}, 0, 6)
    expected = {"rolling_2h": [("2026-11-21T13:15", 1.0, None, "12")], "hour": []}
    assert events(found) == expected.get(period, [])


async def test_each_group_has_its_tier_and_the_largest_are_evaluated(api: Api) -> None:
    await api.insert(
        spend(1, 2, "u1"), spend(1, 3, "u2"), spend(1, 1, "u3", user_tier="pro"),
        spend(1, 0.5, "u4"),
    )  # fmt: skip
    budget = {
        "limit_usd": None, "group_by": ["user_id"], "tiers": {"free": "1.5", "pro": "2.5"},
        "default_tier": "free", "thresholds": [1],
    }  # fmt: skip
    small, clients = make_api(api.store, QuerySettings(budget_backtest_groups_max=3))
    await small.client.put("/v1/tiers/u2", json={"tier": "pro"})
    found = await past(small, budget, 0, 6)
    assert sorted(event[2:] for event in events(found)) == [("u1", "2"), ("u2", "3")]
    assert {each["tier"] for each in found["events"]} == {"free", "pro"}
    assert (found["groups"], found["groups_evaluated"]) == (4, 3)
    assert [each["group"]["user_id"] for each in found["series"]] == ["u2", "u1", "u3"]
    for client in clients:
        await client.aclose()


async def test_several_limits_and_the_forecast_are_evaluated(api: Api) -> None:
    await api.insert(*(spend(n, 1) for n in range(-12, 0)))
    budget = {
        "period": None, "limit_usd": None, "forecast": True, "burn_rate": {},
        "limits": [
            {"name": "day", "period": "day", "limit_usd": "20"},
            {"name": "hour", "period": "hour", "limit_usd": "1"},
        ],
        "thresholds": [1],
    }  # fmt: skip
    found = await past(api, budget, -12, 0)
    assert [each["type"] for each in found["events"] if each["limit_name"] == "day"] == [
        "budget.forecast_exceeded"
    ]
    forecast = next(each for each in found["events"] if each["limit_name"] == "day")
    assert float(forecast["forecast_usd"]) > 20
    assert len([each for each in found["events"] if each["limit_name"] == "hour"]) == 12
    assert found["not_evaluated"][0].startswith("burn_rate")


async def test_a_forecast_by_hour_of_week_knows_the_usual_peak(api: Api) -> None:
    usual = [spend(-24 * 7 * week + hour, 10) for week in (1, 2) for hour in range(-12, -6)]
    await api.insert(*usual, *(spend(hour, 1) for hour in range(-12, -6)))
    for method, expected in (("linear", 1), ("hour_of_week", 0)):
        found = await past(api, {"forecast": method, "thresholds": [1]}, -12, 0)
        assert [each["type"] for each in found["events"]] == ["budget.forecast_exceeded"] * expected


async def test_an_existing_budget_is_named_by_its_id(api: Api) -> None:
    await api.insert(spend(0, 11))
    made = (await api.client.post("/v1/budgets", json=BUDGET)).json()
    body = {"budget_id": made["id"], "from": at(0), "to": at(1)}
    found = (await api.client.post(PATH, json=body)).json()
    assert [each["threshold"] for each in found["events"]] == [0.8, 1.0]
    assert found["alerts"][0]["budget_id"] == made["id"]
    assert (await api.other.post(PATH, json=body)).status_code == 404
    unnamed = {name: each for name, each in BUDGET.items() if name != "name"}
    beside = await api.client.post(PATH, json=unnamed | {"from": at(0), "to": at(1)})
    assert beside.json()["events"] == found["events"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"budget": BUDGET | {"limit_usd": "-1"}}, "budget.limit_usd"),
        ({"budget": BUDGET | {"period": None}}, "budget.period"),
        ({"budget": BUDGET | {"group_by": ["nope"]}}, "budget.group_by"),
        ({"budget": None}, "budget"),
        ({"budget_id": "b"}, "budget"),
        ({"to": at(0)}, "from"),
        ({"from": at(-32 * 24)}, "from"),
    ],
)
async def test_the_error_for_an_invalid_backtest_names_its_field(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    body = {"budget": BUDGET, "from": at(0), "to": at(1)} | fields
    refused = await api.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field), refused.text


async def test_too_many_rows_are_refused(api: Api) -> None:
    await api.insert(*(spend(n, 1) for n in range(10)))
    small, clients = make_api(api.store, QuerySettings(backtest_rows_max=9))
    body = {"budget": BUDGET, "from": at(0), "to": at(11)}
    refused = await small.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "query_too_costly")
    for client in clients:
        await client.aclose()
