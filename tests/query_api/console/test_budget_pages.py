"""Budgets in the console: the list, one budget, and the form with its preview."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from clickhouse.rows import SpendRow
from producers.control.kinds.budget import Budget
from query_api.console.formats import Formats
from query_api.console.optional import Optional
from query_api.console.preferences import Preferences
from query_api.console.rendering import environment_of
from query_api.v1.backtests import one_at_a_time
from tests.query_api.console.browser import HOME, csrf_in, signed_in, text_of
from tests.query_api.console.form_fields import faults_of, fields_of
from tests.query_api.harness import OTHER, PROJECT, Api, Kept
from tracemill.clock import now_us

QUARTER_S = 900
NOW_S = now_us() // 10**6 // QUARTER_S * QUARTER_S
BUDGETS = f"{HOME}/budgets"
MARKUP = "<script>alert(1)</script>"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def spend(quarters_ago: int, usd: float, user_id: str = "ada", **fields: Any) -> SpendRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "user_id": user_id, "model": "m", "environment": "production",
        "total_cost_pico": round(usd * 10**12), "row_version": 1,
    }  # fmt: skip
    return SpendRow(bucket_s=NOW_S - quarters_ago * QUARTER_S, **(given | fields))


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """A store with the spend of the last days."""
    return kept(
        [
            *(spend(n, 0.25, "ada") for n in range(1, 200)),
            *(spend(n, 0.05, MARKUP) for n in range(1, 200)),
            spend(3, 1_000, project_id=OTHER),
        ]
    )


async def filled(client: httpx.AsyncClient, **fields: str) -> dict[str, str]:
    page = await client.get(f"{BUDGETS}/new")
    return fields_of(page.text) | {"name": "Whole project", "limit_usd": "10"} | fields


async def test_a_budget_is_made_from_a_link_with_its_scope_and_seen(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    page = await client.get(f"{BUDGETS}/new?scope.user_id=ada&limit_usd=2.50&csrf=forged")
    form = fields_of(page.text)
    assert (form["scope.user_id"], form["limit_usd"]) == ("ada", "2.50")
    assert form["csrf"] == csrf_in(page.text) != "forged"
    made = await client.post(f"{BUDGETS}/new", data=form | {"name": MARKUP})
    assert made.status_code == 303
    shown = await client.get(made.headers["location"])
    assert shown.status_code == 200
    assert MARKUP not in shown.text
    assert "$2.50" in text_of(shown.text)
    assert "/traces?q=user%3Aada" in shown.text
    listed = await client.get(BUDGETS)
    assert MARKUP not in listed.text
    assert made.headers["location"] in listed.text
    for page in (shown, listed):
        assert re.search(r"<title>Threshold: \d+%</title>", page.text)
        assert re.search(r"<title>[\d.]+% of the period has passed</title>", page.text)
    budget_id = made.headers["location"].rpartition("/")[2]
    budget = filled_api.control.view.in_project(Budget, PROJECT)[budget_id]
    assert (budget.scope, budget.limit_pico, budget.thresholds) == (
        {"user_id": "ada"}, 2_500_000_000_000, ("0.8", "1"),
    )  # fmt: skip
    csrf = {"csrf": csrf_in(shown.text)}
    deleted = await client.post(f"{made.headers['location']}/delete", data=csrf)
    assert deleted.headers["location"] == BUDGETS
    assert (await client.get(made.headers["location"])).status_code == 404
    assert budget_id not in (await client.get(BUDGETS)).text


@pytest.mark.parametrize(
    ("share", "exceeds", "colour"),
    [(0.5, False, ""), (0.5, True, "spent-near"), (0.9, False, "spent-near"),
     (1.2, True, "spent-over")],
)  # fmt: skip
async def test_a_bar_warns_when_the_forecast_is_above_the_limit(
    share: float, exceeds: bool, colour: str
) -> None:
    bar = environment_of("en").get_template("budget_parts.html").module.spent_bar
    part = Optional(forecast=Optional(exceeds_limit=exceeds))
    formats = Formats(Preferences("en", "", "auto"))
    shown = str(bar(formats, share, Optional(), part, ("0.5", "0.8", "1"), "spent"))
    assert f'class="spent-part {colour}"' in shown
    assert re.findall(r"<title>(.*?)</title>", shown) == ["Threshold: 50%", "Threshold: 80%"]
    assert ("Forecast above the limit" in shown) == exceeds


async def test_without_budgets_the_list_says_how_to_make_one(filled_api: Api) -> None:
    async with signed_in(filled_api, OTHER) as other:
        page = await other.get(f"/project/{OTHER}/budgets")
        assert "No budgets yet" in text_of(page.text)
        assert f"/project/{OTHER}/budgets/new" in page.text


@pytest.mark.parametrize("path", ["budgets", "alert-rules"])
async def test_every_message_of_a_preview_has_its_place_in_the_form(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(f"{HOME}/{path}/new")).text
    form = {"csrf": csrf_in(page)}
    answer = await client.post(f"{HOME}/{path}/preview", data=form, headers={"hx-request": "true"})
    places = set(re.findall(r'id="(fault-[^"]*)"', page))
    assert set(re.findall(r'id="(fault-[^"]*)" hx-swap-oob', answer.text)) <= places
    assert "hx-swap-oob" in answer.text


async def test_the_preview_shows_what_the_form_would_have_done(client: httpx.AsyncClient) -> None:
    partial = {"hx-request": "true"}

    async def preview(**fields: str) -> str:
        form = await filled(client, **fields)
        answer = await client.post(f"{BUDGETS}/preview", data=form, headers=partial)
        assert answer.status_code == 200
        assert "<html" not in answer.text
        assert MARKUP not in answer.text
        return text_of(answer.text)

    assert "Threshold crossed" in await preview()
    assert "No reports" in await preview(limit_usd="1000", period="day")
    assert "Enter a limit" in await preview(limit_usd="", name="")
    grouped = await preview(**{"group_by.user_id": "on", "limit_usd": "8"})
    assert "ada" in grouped
    assert MARKUP in grouped, "as text"
    assert "Nothing was spent" in await preview(**{"scope.model": "another"})
    assert "not a percentage" in await preview(thresholds="most")


async def test_the_burn_down_of_a_group_is_shown_in_the_time_zone_of_the_budget(
    client: httpx.AsyncClient,
) -> None:
    form = await filled(client, **{"group_by.user_id": "on", "time_zone": "Asia/Tokyo"})
    made = (await client.post(f"{BUDGETS}/new", data=form)).headers["location"]
    page = await client.get(f"{made}?group=user_id:ada")
    assert page.status_code == 200
    shown = text_of(page.text)
    assert "This period · ada" in shown
    assert "Times in Asia/Tokyo" in shown
    assert 'class="line line-1 is-dashed"' in page.text, "the forecast"
    assert "80% $8.00" in shown
    small = await client.get(f"{HOME}/overview/budgets", headers={"hx-request": "true"})
    assert "burn-small" in small.text
    assert (await client.get(f"{made}?group=model:m")).status_code == 400


async def test_the_preview_works_without_a_script(client: httpx.AsyncClient) -> None:
    form = await filled(client, name="typed so far")
    answer = await client.post(f"{BUDGETS}/preview", data=form)
    assert answer.status_code == 200
    assert "Threshold crossed" in text_of(answer.text)
    assert fields_of(answer.text)["name"] == "typed so far"


async def test_only_the_latest_preview_of_a_session_is_computed(
    filled_api: Api, client: httpx.AsyncClient
) -> None:
    """The one before waits for its turn when the next one arrives."""
    context = filled_api.client._transport.app.state.context  # type: ignore[attr-defined]
    form, partial = await filled(client), {"hx-request": "true"}
    turn = one_at_a_time(context, "budget")

    def preview() -> asyncio.Task[httpx.Response]:
        sent = client.post(f"{BUDGETS}/preview", data=form, headers=partial)
        return asyncio.ensure_future(sent)

    async with turn:
        first = preview()
        async with asyncio.timeout(60):
            while not turn._waiters:  # noqa: ASYNC110  (a semaphore has no event)
                await asyncio.sleep(0)
            second = preview()
            assert (await first).status_code == 204
            assert not second.done()
    assert (await second).status_code == 200
    assert (await preview()).status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("limit_usd", "", "enter the limit"), ("limit_usd", "ten", "decimal number"),
     ("limit_usd", "-1", "decimal number"), ("name", "", "at least 1"),
     ("thresholds", "x", "not a percentage"), ("thresholds", "1e999999999", "not a percentage"),
     ("thresholds", "", "at least 1"),
     ("thresholds", "80, 80", "appears twice"), ("time_zone", "Nowhere/Land", "time zone"),
     ("period", "decade", "rolling_"), ("scope.environment", "a b!", "environment"),
     ("tiers", "free", "a line such as"), ("limits", "daily 10", "a line such as"),
     ("limits", "[{", "not valid JSON"), ("limits", '[{"name": "x"}]', "required"),
     ("burn_rate.fast", "1w", "shorter")],
)  # fmt: skip
async def test_a_mistake_is_shown_next_to_its_field_and_the_form_is_kept(
    client: httpx.AsyncClient, field: str, value: str, message: str
) -> None:
    form = await filled(client, **{"overrides": "", field: value})
    answer = await client.post(f"{BUDGETS}/new", data=form)
    assert answer.status_code == 422
    kept = fields_of(answer.text)
    assert kept[field] == value
    assert kept["csrf"] == form["csrf"]
    faults = faults_of(answer.text)
    assert any(message in text for _, text in faults), faults
    top = field.partition(".")[0]
    assert all(name.partition(".")[0] == top for name, _ in faults), faults


async def test_editing_keeps_what_the_form_does_not_change(
    client: httpx.AsyncClient, filled_api: Api
) -> None:
    body = {
        "name": "each user", "group_by": ["user_id"], "forecast": "linear",
        "limits": [
            {"name": "daily", "period": "day", "tiers": {"free": "1", "pro": "5.5"},
             "default_tier": "free", "overrides": {"ada = 1": "7"}},
            {"name": "monthly", "period": "month", "limit_usd": "100"},
        ],
        "thresholds": [0.055, 1], "burn_rate": {"fast": "10m", "slow": "6h", "factor": "3"},
        "scope": {"environment": "production"}, "time_zone": "Asia/Shanghai",
    }  # fmt: skip
    for changed in (
        body,
        {"name": "tiers", "group_by": ["user_id"], "period": "week",
         "tiers": {"a = b": "1", "pro": "5.5"}, "default_tier": "pro", "overrides": {"u": "2"}},
        {"name": "plain", "period": "rolling_3h", "limit_usd": "0.000000000001"},
    ):  # fmt: skip
        made = (await filled_api.client.post("/v1/budgets", json=changed)).json()
        path = f"{BUDGETS}/{made['id']}"
        form = fields_of((await client.get(f"{path}/edit")).text) | {"name": "renamed"}
        answer = await client.post(f"{path}/edit", data=form)
        assert answer.status_code == 303, answer.text
        now = (await filled_api.client.get(f"/v1/budgets/{made['id']}")).json()
        assert now == made | {"name": "renamed"}
        assert (await client.get(path)).status_code == 200
    assert (await client.get(f"{BUDGETS}?cursor=x")).status_code == 400
