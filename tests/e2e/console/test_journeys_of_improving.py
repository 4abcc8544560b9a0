"""Prompts, datasets and experiments: what changed, what is better, and back again."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.e2e.console import shop as shop_data
from tests.e2e.console.chromium import Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.definitions import ANSWERS
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPTS = "/api/public/v2/prompts"


async def test_a_prompt_is_rolled_back(visit: Visiting, shop: Tenant, screen: Screen) -> None:
    name = f"rollback/{screen}"
    for text in ("Answer: {{question}}", "Answer rudely: {{question}}"):
        body = {"name": name, "type": "text", "prompt": text, "labels": ["production"]}
        shop.send("POST", PROMPTS, body)
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Prompts")
        await viewer.link("rollback/").click()
        await viewer.link(str(screen)).click()
        await viewer.page.locator(".versions").get_by_text("v1").click()
        await viewer.shot("prompt")
        roll_back = viewer.say("Roll production back to v%(number)s") % {"number": 1}
        await viewer.page.get_by_role("link", name=roll_back).click()
        await viewer.sees("What changes")
        assert "rudely" in await viewer.reads()
        await viewer.shot("prompt-rollback")
        move = viewer.say("Move %(label)s to v%(number)s") % {"label": "production", "number": 1}
        await viewer.page.get_by_role("button", name=move).click()
        await viewer.page.get_by_role("status").wait_for()
    path = f"{PROMPTS}/{quote(name, safe='')}?label=production"
    assert shop.send("GET", path)["version"] == 1


async def test_two_versions_of_a_prompt_are_compared(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open("/prompts")
        await viewer.link("support/").click()
        await viewer.link("answer").click()
        await viewer.link("Changes").click()
        await viewer.page.locator("select[name=a]").wait_for()
        assert "{{language}}" in await viewer.reads()
        await viewer.shot("prompt-changes")
        await viewer.link("Metrics").click()
        await viewer.page.locator("select[name=a]").select_option("2")
        await viewer.page.locator("select[name=b]").select_option("3")
        await viewer.button("Compare").click()
        row = viewer.page.locator("table.tests").first.get_by_role("row").filter(has_text="helpful")
        await row.get_by_text(viewer.say("worse")).wait_for()
        await viewer.shot("prompt-metrics")


async def test_two_runs_are_compared_and_the_worst_regression_opened(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Datasets")
        await viewer.link("support questions").click()
        await viewer.link("Runs").click()
        for run in ("baseline", "candidate"):
            await viewer.page.get_by_role("checkbox", name=run).check()
        await viewer.shot("runs")
        await viewer.button("Compare the chosen runs").click()
        await viewer.sees("Worst regression:")
        compared = await viewer.reads()
        assert ANSWERS[0] in compared
        assert "I do not know." in compared
        await viewer.shot("compared-runs")
        await viewer.link("open its trace").click()
        await viewer.page.wait_for_url(re.compile("/traces/"))
        await viewer.sees("I do not know.")
        await viewer.shot("worst-regression")


async def test_a_dataset_is_made_of_the_traces_with_a_text(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    name = f"lost parcels {screen}"
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Traces")
        await viewer.page.locator("[data-search]").fill(f'"{shop_data.LOST_TEXT}"')
        await viewer.page.keyboard.press("Enter")
        await viewer.page.wait_for_url(re.compile(r"q="))
        await viewer.sees(re.compile(shop_data.LOST_TEXT))
        assert await viewer.page.locator("[data-rows] tbody tr").count() == 1
        await viewer.shot("traces-with-text")
        await viewer.page.get_by_label(viewer.say("Dataset"), exact=True).fill(name)
        await viewer.button("Add traces").click()
        await viewer.page.wait_for_url(re.compile("/datasets/"))
        await viewer.sees(re.compile(re.escape(shop_data.QUESTION)))
        await viewer.shot("dataset-of-traces")
    path = f"/api/public/dataset-items?datasetName={quote(name)}"
    (item,) = shop.send("GET", path)["data"]
    assert item["input"] == shop_data.QUESTION
    assert item["expectedOutput"] == shop_data.ANSWER
    assert item["sourceTraceId"]
