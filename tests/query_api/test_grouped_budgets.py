"""Budgets with groups, tiers and several limits are created, changed and shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clickhouse.rows import BudgetStateRow, SpendRow
from producers.control.kinds.budget import Budget
from producers.control.periods import period_bounds
from tests.query_api.harness import NOON_US, PROJECT, Api

TIERED = {
    "name": "each user",
    "group_by": ["user_id"],
    "period": "day",
    "tiers": {"free": "0.10", "pro": "5", "enterprise": "100"},
    "default_tier": "free",
    "overrides": {"vip": "7.5"},
}


async def created(api: Api, **fields: object) -> dict[str, Any]:
    answer = await api.client.post("/v1/budgets", json=fields)
    assert answer.status_code == 201, answer.text
    budget: dict[str, Any] = answer.json()
    return budget


async def test_a_budget_has_a_limit_for_each_tier(api: Api) -> None:
    budget = await created(api, **TIERED)
    assert budget["group_by"] == ["user_id"]
    assert budget["tiers"] == {"free": "0.1", "pro": "5", "enterprise": "100"}
    assert (budget["default_tier"], budget["overrides"]) == ("free", {"vip": "7.5"})
    assert "limit_usd" not in budget
    assert (await api.client.get(f"/v1/budgets/{budget['id']}")).json() == budget


async def test_a_budget_has_several_limits(api: Api) -> None:
    limits = [
        {"name": "hourly", "period": "hour", "limit_usd": "1"},
        {"name": "week", "period": "rolling_7d", "limit_usd": "50.5"},
        {"name": "ever", "period": "total", "limit_usd": "1000"},
    ]
    budget = await created(api, name="several", limits=limits)
    assert budget["limits"] == limits
    assert "period" not in budget
    status = (await api.client.get(f"/v1/budgets/{budget['id']}/status")).json()
    assert [(each["name"], each["spent_usd"]) for each in status["limits"]] == [
        ("hourly", "0"), ("week", "0"), ("ever", "0"),
    ]  # fmt: skip
    assert status["limits"][2]["period_end"] is None


async def test_limits_without_names_have_those_of_their_periods(api: Api) -> None:
    limits = [{"period": "day", "limit_usd": "1"}, {"period": "rolling_7d", "limit_usd": "5"}]
    budget = await created(api, name="several", limits=limits)
    assert [each["name"] for each in budget["limits"]] == ["day", "rolling_7d"]
    body = {"name": "twice", "limits": [*limits, {"name": "day", "period": "hour", "limit_usd": 1}]}
    refused = await api.client.post("/v1/budgets", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "limits.2.name")


async def test_tags_may_be_named_tag(api: Api) -> None:
    fields = {"name": "n", "period": "day", "limit_usd": "1"}
    budget = await created(api, **fields, scope={"tag": "beta"}, group_by=["user_id", "tag"])
    assert (budget["scope"], budget["group_by"]) == ({"tags": "beta"}, ["tags", "user_id"])
    listed = await created(api, **fields, scope={"tags": ["beta"]})
    assert listed["scope"] == {"tags": "beta"}
    for scope, field in (
        ({"tag": "a", "tags": "b"}, "scope.tag"),
        ({"tags": ["a", "b"]}, "scope.tags"),
        ({"user_id": ["u"]}, "scope.user_id"),
    ):
        refused = await api.client.post("/v1/budgets", json=fields | {"scope": scope})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


async def test_a_budget_is_changed_in_part_and_replaced_as_a_whole(api: Api) -> None:
    budget = await created(api, **TIERED, thresholds=[0.5], forecast=True)
    path = f"/v1/budgets/{budget['id']}"
    changed = await api.client.patch(path, json={"thresholds": [1], "name": "renamed"})
    assert changed.status_code == 200, changed.text
    assert changed.json() == budget | {"thresholds": [1.0], "name": "renamed"}
    limited = await api.client.patch(path, json={"limit_usd": "3", "overrides": {}})
    assert limited.json()["limit_usd"] == "3"
    assert not {"tiers", "default_tier", "overrides"} & set(limited.json())
    replaced = await api.client.put(path, json={"name": "n", "period": "week", "limit_usd": 2})
    assert replaced.status_code == 200, replaced.text
    assert replaced.json() == {
        "id": budget["id"], "name": "n", "scope": {}, "period": "week", "time_zone": "UTC",
        "limit_usd": "2", "thresholds": [0.8, 1.0], "created_at": budget["created_at"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"group_by": ["color"]}, "group_by"),
        ({"group_by": ["user_id", "user_id"]}, "group_by"),
        ({"group_by": []}, "tiers"),
        ({"default_tier": "gold"}, "default_tier"),
        ({"default_tier": ""}, "default_tier"),
        ({"tiers": {"free": "-1"}}, "tiers.free"),
        ({"tiers": {}}, "limit_usd"),
        ({"limit_usd": "1"}, "tiers"),
        ({"period": None}, "period"),
        ({"overrides": {"u": "0"}}, "overrides.u"),
        ({"limits": [{"name": "a", "period": "day", "limit_usd": "1"}]}, "period"),
        ({"burn_rate": {"fast": "2h", "slow": "1h"}}, "burn_rate.fast"),
        ({"burn_rate": {"fast": "soon"}}, "burn_rate.fast"),
        ({"forecast": "yes"}, "forecast"),
    ],
)
async def test_the_error_for_an_invalid_budget_names_its_field(
    api: Api, fields: dict[str, object], field: str
) -> None:
    refused = await api.client.post("/v1/budgets", json=TIERED | fields)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert not api.control.view[Budget]


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ([{"name": "a", "period": "day"}], "limits.0.limit_usd"),
        ([{"name": "a/b", "period": "day", "limit_usd": 1}], "limits.0.name"),
        ([{"name": "a", "period": "day", "limit_usd": 1}] * 2, "limits.1.name"),
        ([{"name": "a", "period": "year", "limit_usd": 1}], "limits.0.period"),
    ],
)
async def test_the_error_for_an_invalid_limit_names_its_field(
    api: Api, limits: list[object], field: str
) -> None:
    refused = await api.client.post("/v1/budgets", json={"name": "n", "limits": limits})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query_api.v1.budgets.now_us", lambda: NOON_US)


@pytest.mark.usefixtures("at_noon")
async def test_the_status_lists_the_groups_with_the_largest_shares(api: Api) -> None:
    budget = await created(api, **TIERED, forecast=True)
    start_us, end_us = period_bounds("day", "UTC", NOON_US)

    def state(user: str, pico: int, limit: int, tier: str, **fields: Any) -> BudgetStateRow:
        values = {
            "project_id": PROJECT, "budget_id": budget["id"], "period": "day",
            "period_start_us": start_us, "period_end_us": end_us, "tier": tier,
            "group": f'{{"user_id":"{user}"}}', "spent_pico": pico, "limit_pico": limit,
            "updated_us": NOON_US, "row_version": 1,
        }  # fmt: skip
        return BudgetStateRow(**values | fields)

    await api.insert(
        state("a", 90_000_000_000, 10**11, "free", crossed=("0.8",)),
        state("b", 10**12, 5 * 10**12, "pro"),
        state("vip", 7 * 10**12, 7_500_000_000_000, "free", incomplete=1),
        state("b", 9 * 10**12, 5 * 10**12, "pro", period_start_us=start_us - 1),
        state("", 0, 0, "", group=""),
        *(
            SpendRow(
                project_id=PROJECT, bucket_s=start_us // 1_000_000, user_id=user, model="m",
                environment="e", total_cost_pico=0, unpriced_count=unpriced, row_version=1,
            )
            for user, unpriced in (("a", 2), ("b", 0), ("unlisted", 3))
        ),
    )  # fmt: skip
    path = f"/v1/budgets/{budget['id']}/status"
    status = (await api.client.get(path, params={"limit": 2})).json()
    assert [each["group"]["user_id"] for each in status["groups"]] == ["vip", "a"]
    assert (status["group_count"], status["spent_usd"]) == (3, "8.09")
    assert status["incomplete"] is True
    assert (status["unpriced"], status["groups"][0]["unpriced"]) == (5, 0)
    assert status["groups"][1] == {
        "group": {"user_id": "a"}, "tier": "free", "spent_usd": "0.09", "limit_usd": "0.1",
        "remaining_usd": "0.01", "share": 0.9, "crossed": [0.8], "incomplete": False, "unpriced": 2,
        "updated_at": "2026-11-21T12:00:00.000Z",
        "forecast": {"spend_usd": "0.18", "exceeds_limit": True,
                     "limit_reached_at": "2026-11-21T13:20:00.000Z", "method": "linear"},
    }  # fmt: skip
    one = (await api.client.get(path, params={"group": "user_id:b"})).json()
    assert [(each["tier"], each["share"]) for each in one["groups"]] == [("pro", 0.2)]
    await api.insert(state("over", 2 * 10**11, 10**11, "free", crossed=("0.8", "1")))
    over = (await api.client.get(path, params={"group": "user_id:over"})).json()["groups"]
    assert over[0]["forecast"]["exceeds_limit"] is True
    assert over[0]["forecast"]["limit_reached_at"] is None  # it was in the past
    by_value = (await api.client.get(path, params={"group": "over"})).json()["groups"]
    assert by_value == over
    unknown = (await api.client.get(path, params={"group": "user_id:z:1"})).json()["groups"]
    assert (unknown[0]["group"], unknown[0]["spent_usd"]) == ({"user_id": "z:1"}, "0")
    refused = await api.client.get(path, params={"group": "model:m"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "group")


@pytest.mark.usefixtures("at_noon")
async def test_the_status_includes_states_that_are_not_stored_yet(api: Api) -> None:
    grouped = await created(api, **TIERED)
    single = await created(api, name="all", period="day", limit_usd="1", thresholds=[0.5])
    start_us, end_us = period_bounds("day", "UTC", NOON_US)

    def state(budget: dict[str, Any], group: str, pico: int, at_us: int) -> BudgetStateRow:
        return BudgetStateRow(
            project_id=PROJECT, budget_id=budget["id"], period="day", period_start_us=start_us,
            period_end_us=end_us, group=group, spent_pico=pico, updated_us=NOON_US + at_us,
            limit_pico=10**11, row_version=at_us, crossed=("0.5",) if group == "{}" else (),
        )  # fmt: skip

    def processed(*rows: BudgetStateRow) -> None:
        for row in rows:
            api.decisions.states.apply(msgspec.json.encode(row), NOON_US)

    async def spent(budget: dict[str, Any], **parameters: object) -> dict[str, Any]:
        path = f"/v1/budgets/{budget['id']}/status"
        answer = (await api.client.get(path, params=parameters)).json()
        groups = [each["group"]["user_id"] for each in answer.get("groups", [])]
        return {"spent": answer["spent_usd"], "groups": groups, "crossed": answer.get("crossed")}

    a, b, c = ('{"user_id":"a"}', '{"user_id":"b"}', '{"user_id":"c"}')
    await api.insert(state(grouped, a, 5 * 10**10, 9), state(grouped, b, 10**10, 2))
    assert await spent(grouped) == {"spent": "0.06", "groups": ["a", "b"], "crossed": None}
    processed(
        state(grouped, a, 10**10, 8), state(grouped, b, 9 * 10**10, 3), state(grouped, c, 10**9, 4)
    )
    assert await spent(grouped) == {"spent": "0.141", "groups": ["b", "a", "c"], "crossed": None}
    assert (await spent(grouped, limit=1))["groups"] == ["b"]
    assert (await spent(grouped, group="c"))["groups"] == ["c"]
    processed(state(single, "{}", 6 * 10**11, 5))
    assert await spent(single) == {"spent": "0.6", "groups": [], "crossed": [0.5]}
