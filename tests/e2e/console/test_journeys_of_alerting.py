"""Budgets and rules, from a form with a preview to the alert."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from tests.e2e.console import shop as shop_data
from tests.e2e.console.chromium import Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant
from tests.fixtures.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL_TOKENS = 100_000
LIMIT_USD = Decimal("0.20")


def call(tenant: Tenant, prefix: str, user: str) -> None:
    """Make a call that costs a quarter of a dollar."""
    events = Events(prefix)
    trace_id = events.trace("support-chat", 1, userId=user)
    usage = {"input": CALL_TOKENS}
    events.step("generation", trace_id, "answer", 1, 0.5, model="gpt-4o", usage=usage)
    tenant.ingest(events.events)


async def test_a_budget_is_made_of_a_chart_and_fires(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    name = f"Budget of Grace {screen}"
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.link(shop_data.SPENDER, exact=True).click()
        await viewer.page.wait_for_url("**filter=user_id*")
        await viewer.link("Limit this spend").click()
        form = viewer.page.locator("main form").first
        assert await form.locator("[name='scope.user_id']").input_value() == shop_data.SPENDER
        await viewer.page.locator("main form [name=name]").first.fill(name)
        await viewer.page.get_by_label(viewer.say("Limit in US dollars")).fill(str(LIMIT_USD))
        await form.locator("[name=period]").select_option("day")
        preview = viewer.page.locator("#preview")
        await preview.locator(".happenings li").first.wait_for()
        assert "100%" in await preview.inner_text()
        await viewer.shot("budget-form")
        await viewer.button("Create budget").click()
        await viewer.sees(name)
        budget_id = viewer.page.url.rsplit("/", 1)[-1]
        call(shop, f"budget-{screen}", shop_data.SPENDER)
        until(lambda: fired(shop, budget_id), "the alert of a budget")
        await viewer.page.reload()
        await viewer.sees(re.compile(r"\b[1-9]\d\d%"))
        await viewer.shot("budget")
        await viewer.go("Alerts")
        await viewer.page.get_by_role("link", name=viewer.say("History")).first.click()
        await viewer.sees(name)
        await viewer.shot("budget-alert")


def fired(tenant: Tenant, budget_id: str) -> bool:
    """Return whether a budget is exceeded, and has reported it."""
    spent = tenant.send("GET", f"/v1/budgets/{budget_id}/status")["spent_usd"]
    alerts = tenant.send("GET", "/v1/alerts?limit=100")["data"]
    return Decimal(spent) > LIMIT_USD and any(budget_id in each.values() for each in alerts)


async def test_an_alert_rule_is_written_with_its_preview(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    name = f"Slow answers {screen}"
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Alert rules")
        await viewer.link("New rule").click()
        await viewer.page.locator("main form [name=name]").first.fill(name)
        form = viewer.page.locator("main form").first
        await form.locator("[name=metric]").select_option("p99_latency")
        await form.locator("[name=threshold]").fill("1000")
        outcome = viewer.page.locator("#preview .outcome")
        await outcome.get_by_text(viewer.say("did not fire")).wait_for()
        await form.locator("[name=threshold]").fill("many")
        await viewer.page.locator("#fault-threshold:visible").wait_for()
        await viewer.shot("rule-fault")
        await form.locator("[name=threshold]").fill("30")
        fires = viewer.page.locator("#preview .happenings li").first
        await fires.wait_for()
        await viewer.shot("rule-form")
        await viewer.button("Create rule").click()
        await viewer.sees(name)
        await viewer.shot("rule")
    rules = shop.send("GET", "/v1/alert-rules?limit=100")["data"]
    (rule,) = [each for each in rules if each["name"] == name]
    assert (rule["metric"], Decimal(rule["threshold"])) == ("p99_latency", 30)
