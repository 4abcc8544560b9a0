"""Prompts and experiments: roll back, compare versions, and find the worst regression."""

from __future__ import annotations

import re

import pytest

from tests.e2e.console.chromium import Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant
from tests.fixtures.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "/api/public/v2/prompts/support%2Fanswer"


def put_production_on(tenant: Tenant, version: int) -> None:
    """Undo what the journey did on another screen."""
    tenant.send("PATCH", f"{PROMPT}/versions/{version}", {"newLabels": ["production"]})


async def test_a_prompt_is_rolled_back(visit: Visiting, shop: Tenant, screen: Screen) -> None:
    put_production_on(shop, 3)
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Prompts")
        await viewer.link("support/", exact=True).click()
        await viewer.link("answer", exact=True).click()
        await viewer.page.locator(".versions a").filter(has_text="v2").click()
        await viewer.shot("prompt")
        roll_back = viewer.say("Roll production back to v%(number)s") % {"number": 2}
        await viewer.page.get_by_role("link", name=roll_back).click()
        await viewer.page.locator(".diff .changed").first.wait_for()
        await viewer.shot("prompt-rollback")
        await viewer.page.keyboard.press("Enter")  # the button has the focus
        await viewer.page.get_by_role("status").wait_for()
        await viewer.shot("prompt-rolled-back")
    assert shop.send("GET", PROMPT)["version"] == 2


async def test_two_versions_of_a_prompt_are_compared(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    put_production_on(shop, 3)
    async with visit(shop, screen) as viewer:
        await viewer.open("/prompts/support%2Fanswer")
        await viewer.link("Changes", exact=True).click()
        await viewer.page.locator(".diff .changed").first.wait_for()
        await viewer.shot("prompt-diff")
        await viewer.link("Metrics", exact=True).click()
        await viewer.page.locator("[name=a]").select_option("2")
        await viewer.page.locator("[name=b]").select_option("3")
        await viewer.button("Compare").click()
        await viewer.page.wait_for_url(re.compile("a=2&b=3"))
        row = viewer.page.get_by_role("row").filter(has_text="helpful").first
        assert viewer.say("worse") in await row.inner_text()
        await viewer.shot("prompt-metrics")


async def test_two_runs_are_compared_and_the_worst_regression_is_opened(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Datasets")
        await viewer.link("support questions", exact=True).click()
        await viewer.link("Runs", exact=True).click()
        await viewer.shot("runs")
        await viewer.button("Compare the chosen runs").click()
        await viewer.link("Regressions").click()
        await viewer.page.locator(".mark-score.worse").first.wait_for()
        await viewer.shot("regressions")
        await viewer.link("open its trace").click()
        await viewer.sees("I do not know.")
        await viewer.shot("worst-regression")


async def test_traces_are_scored_with_the_keyboard_alone(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open("/annotation?q=name:support-chat")
        first = await viewer.page.locator("[name=trace]").get_attribute("value")
        await viewer.press("1")
        await viewer.page.keyboard.type("0.5")
        await viewer.shot("annotation")
        await viewer.page.keyboard.press("Enter")
        await viewer.page.wait_for_url(re.compile("cursor="))
        second = await viewer.page.locator("[name=trace]").get_attribute("value")
        assert second != first
        path = f"/api/public/v2/scores?source=ANNOTATION&traceId={first}"
        until(lambda: bool(shop.send("GET", path)["data"]), "the score of a person")
        await viewer.open("/scores?q=source:ANNOTATION")
        await viewer.sees("0.5")
        await viewer.shot("scores")
