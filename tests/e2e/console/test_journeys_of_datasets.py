"""Datasets of traces, and runs that are compared."""

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
