from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clickhouse.rows import AlertRow, SpendRow
from producers.control.kinds.budget import Budget
from producers.control.periods import period_bounds
from query_api.times import iso
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api

ASKED = {
    "name": "a day of u1",
    "scope": {"user_id": "u1"},
    "period": "day",
    "time_zone": "Europe/Berlin",
    "limit_usd": "0.10",
    "thresholds": [1.0, 0.8],
}
QUARTER_S = 900


async def created(api: Api, **fields: object) -> dict[str, Any]:
    answer = await api.client.post("/v1/budgets", json=ASKED | fields)
    assert answer.status_code == 201, answer.text
    budget: dict[str, Any] = answer.json()
    return budget


async def test_a_budget_is_created_listed_read_and_deleted(api: Api) -> None:
    budget = await created(api)
    assert budget | {"id": "", "created_at": ""} == ASKED | {
        "id": "", "created_at": "", "limit_usd": "0.1", "thresholds": [0.8, 1.0],
    }  # fmt: skip
    path = f"/v1/budgets/{budget['id']}"
    assert (await api.client.get(path)).json() == budget
    assert (await api.client.get("/v1/budgets")).json() == {"data": [budget]}
    assert (await api.client.delete(path)).status_code == 204
    for answer in (await api.client.get(path), await api.client.delete(path)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert (await api.client.get("/v1/budgets")).json() == {"data": []}


async def test_defaults_are_the_whole_project_in_utc(api: Api) -> None:
    answer = await api.client.post(
        "/v1/budgets", json={"name": "all", "period": "month", "limit_usd": 5}
    )
    budget = answer.json()
    assert (budget["scope"], budget["time_zone"], budget["limit_usd"]) == ({}, "UTC", "5")
    assert budget["thresholds"] == [0.8, 1.0]


def spend(bucket_s: int, pico: int, **fields: Any) -> SpendRow:
    given = {
        "project_id": PROJECT,
        "user_id": "u1",
        "model": "m",
        "environment": "e",
        "row_version": 1,
    }
    return SpendRow(bucket_s=bucket_s, total_cost_pico=pico, **(given | fields))


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A period that ended while a test runs would not be the running one any more."""
    monkeypatch.setattr("query_api.v1.budgets.now_us", lambda: NOON_US)


@pytest.mark.usefixtures("at_noon")
async def test_the_status_sums_the_scope_over_the_running_period(api: Api) -> None:
    budget = await created(api)
    start_us, end_us = period_bounds("day", "Europe/Berlin", NOON_US)
    start_s, end_s = start_us // 1_000_000, end_us // 1_000_000
    await api.insert(
        spend(start_s, 50_000_000_000),
        spend(start_s, 60_000_000_001, row_version=2),
        spend(end_s - QUARTER_S, 20_000_000_000, model="m2", unpriced_count=3),
        spend(start_s - QUARTER_S, 10**12),
        spend(end_s, 10**12),
        spend(start_s, 10**12, user_id="u2"),
        spend(start_s, 10**12, project_id=OTHER),
    )
    status = (await api.client.get(f"/v1/budgets/{budget['id']}/status")).json()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert status == {
        "budget_id": budget["id"],
        "name": "a day of u1",
        "spent_usd": "0.080000000001",
        "unpriced": 3,
        "limit_usd": "0.1",
        "incomplete": False,
        "remaining_usd": "0.019999999999",
        "period_start": status["period_start"],
        "period_end": status["period_end"],
        "crossed": [0.8],
    }
    assert datetime.fromisoformat(status["period_start"]) == epoch + timedelta(
        microseconds=start_us
    )
    assert datetime.fromisoformat(status["period_end"]) == epoch + timedelta(microseconds=end_us)


@pytest.mark.usefixtures("at_noon")
async def test_the_burn_down_has_the_spend_of_the_period_and_the_forecast_to_its_end(
    api: Api,
) -> None:
    budget = await created(api)
    start_us, end_us = period_bounds("day", "Europe/Berlin", NOON_US)
    start_s = start_us // 1_000_000
    await api.insert(
        spend(start_s, 10_000_000_000),
        spend(start_s + 4 * QUARTER_S, 20_000_000_000, unpriced_count=1),
        spend(start_s + 4 * QUARTER_S, 10**12, user_id="u2"),
    )
    (found,) = (await api.client.get(f"/v1/budgets/{budget['id']}/burn-down")).json()["data"]
    assert found["period_start"] == iso(start_us)
    assert (found["spent_usd"], found["limit_usd"], found["unpriced"]) == ("0.03", "0.1", 1)
    points = [(each["at"], each["spent_usd"]) for each in found["points"]]
    assert points[:2] == [(iso(start_us), "0"), (iso(start_us + 900_000_000), "0.01")]
    assert points[5] == (iso(start_us + 5 * 900_000_000), "0.03")
    assert points[-1] == (iso(NOON_US), "0.03")
    # At noon in UTC, 13 of the 24 hours of the day in Berlin have passed.
    assert found["forecast"][0] == {"at": iso(NOON_US), "spent_usd": "0.03"}
    assert found["forecast"][-1] == {"at": iso(end_us), "spent_usd": "0.055384615384"}


@pytest.mark.usefixtures("at_noon")
async def test_the_burn_down_of_groups_is_that_of_the_chosen_one(api: Api) -> None:
    budget = await created(api, scope={}, group_by=["user_id"], period="week")
    start_us, _ = period_bounds("week", "Europe/Berlin", NOON_US)
    at_s = start_us // 1_000_000 + 3600
    await api.insert(spend(at_s, 10**10, user_id="ada"), spend(at_s, 10**12, user_id="bob"))
    path = f"/v1/budgets/{budget['id']}/burn-down"
    answer = await api.client.get(path, params={"group": "user_id:ada"})
    (found,) = answer.json()["data"]
    assert found["group"] == {"user_id": "ada"}
    assert "0.01" in {each["spent_usd"] for each in found["points"]}
    refused = await api.client.get(path, params={"group": "model:m"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "group")


@pytest.mark.usefixtures("at_noon")
async def test_a_spend_beyond_64_bits_is_summed_right(api: Api) -> None:
    budget = await created(api, period="month", limit_usd="9000000")
    start_us, _ = period_bounds("month", "Europe/Berlin", NOON_US)
    start_s = start_us // 1_000_000
    await api.insert(*(spend(start_s + n * QUARTER_S, 2**63 - 1) for n in range(3)))
    status = (await api.client.get(f"/v1/budgets/{budget['id']}/status")).json()
    assert status["spent_usd"] == "27670116.110564327421"
    assert status["remaining_usd"] == "-18670116.110564327421"
    assert status["crossed"] == [0.8, 1.0]


@pytest.mark.usefixtures("at_noon")
async def test_a_threshold_that_was_reached_stays_crossed(api: Api) -> None:
    """A correction lowered the spend afterwards."""
    budget = await created(api)
    start_us, _ = period_bounds("day", "Europe/Berlin", NOON_US)
    alert = {
        "project_id": PROJECT, "budget_id": budget["id"], "name": "a day of u1", "scope": "{}",
        "spent_pico": 10**11, "limit_pico": 10**11, "created_us": start_us, "row_version": 1,
    }  # fmt: skip
    await api.insert(
        AlertRow(id="a1", period_start_us=start_us, threshold="1", **alert),
        AlertRow(id="a2", period_start_us=start_us - 1, threshold="0.8", **alert),
    )
    status = (await api.client.get(f"/v1/budgets/{budget['id']}/status")).json()
    assert (status["spent_usd"], status["crossed"]) == ("0", [1.0])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"period": "year"}, "period"),
        ({"period": "rolling_0h"}, "period"),
        ({"period": "rolling_32d"}, "period"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"limit_usd": "0"}, "limit_usd"),
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"limit_usd": "ten"}, "limit_usd"),
        ({"limit_usd": "0.0000000000001"}, "limit_usd"),
        ({"limit_usd": "1e400"}, "limit_usd"),
        ({"limit_usd": "NaN"}, "limit_usd"),
        ({"limit_usd": True}, "limit_usd"),
        ({"limit_usd": "1_000"}, "limit_usd"),
        ({"limit_usd": "\u0661\u0662"}, "limit_usd"),
        ({"limit_usd": "5\n"}, "limit_usd"),
        ({"limit_usd": "+5"}, "limit_usd"),
        ({"limit_usd": "1" * 5_000}, "limit_usd"),
        ({"time_zone": "Factory"}, "time_zone"),
        ({"thresholds": ["0_1"]}, "thresholds.0"),
        ({"thresholds": []}, "thresholds"),
        ({"thresholds": [-0.5]}, "thresholds.0"),
        ({"thresholds": [0.8, "0.80"]}, "thresholds"),
        ({"thresholds": [0.1234567]}, "thresholds.0"),
        ({"thresholds": ["half"]}, "thresholds.0"),
        ({"scope": {"colour": "x"}}, "scope.colour"),
        ({"scope": {"user_id": ""}}, "scope.user_id"),
        ({"scope": "all"}, "scope"),
        ({"limit": "1"}, "limit"),
    ],
)
async def test_the_error_for_an_invalid_budget_names_its_field(
    api: Api, fields: dict[str, object], field: str
) -> None:
    refused = await api.client.post("/v1/budgets", json=ASKED | fields)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert not api.control.view[Budget]


async def test_a_body_that_is_not_json_is_refused(api: Api) -> None:
    refused = await api.client.post(
        "/v1/budgets", content=b"{", headers={"content-type": "application/json"}
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_json")


async def test_a_control_log_that_does_not_answer_gives_503_with_retry_after(api: Api) -> None:
    api.control.broken = True
    refused = await api.client.post("/v1/budgets", json=ASKED)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["code"] == "unavailable"


async def test_an_environment_has_the_normal_form_of_stored_events(api: Api) -> None:
    budget = await created(api, scope={"environment": "Prod"})
    assert budget["scope"] == {"environment": "prod"}
    for name in ("langfuse-prod", "no spaces", "x" * 41):
        refused = await api.client.post(
            "/v1/budgets", json=ASKED | {"scope": {"environment": name}}
        )
        assert (refused.status_code, refused.json()["error"]["field"]) == (
            422,
            "scope.environment",
        )


async def test_a_budget_follows_a_time_zone_of_the_iana_list_only(api: Api) -> None:
    refused = await api.client.post("/v1/budgets", json=ASKED | {"time_zone": "localtime"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "time_zone")
