"""A chart of Explore is saved to a dashboard, which a variable filters."""

from __future__ import annotations

import re

import pytest

from tests.e2e.console.chromium import DESK
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_chart_is_saved_to_a_dashboard_and_filtered(visit: Visiting, shop: Tenant) -> None:
    async with visit(shop, DESK) as viewer:
        await viewer.open("/explore?kind=bar&measure=cost_usd&by=model&range=24h")
        await viewer.link("Save to a dashboard").click()
        await viewer.page.get_by_label(viewer.say("Name of a new dashboard")).fill("For the team")
        await viewer.page.get_by_label(viewer.say("Title of the chart")).fill("Spend")
        choice = viewer.page.locator('select[name="dashboard"]')
        await choice.select_option(value="")
        await viewer.button("Save").click()
        await viewer.page.wait_for_url("**/dashboards/*#tile-0")
        await viewer.sees("For the team")
        tile = viewer.page.locator("#tile-0")
        await tile.get_by_role("link", name="gpt-4o-mini", exact=True).wait_for()

        await viewer.page.locator(".more-of > summary").click()
        await viewer.link("Name, range and variables").click()
        await viewer.page.locator('[name="variables.0.dimension"]').select_option("model")
        await viewer.page.locator('[name="variables.0.name"]').fill("Model")
        await viewer.button("Save").click()
        await viewer.page.wait_for_url(re.compile(r"/dashboards/\w+$"))

        control = viewer.page.locator(".control", has_text="Model")
        await control.locator("summary").click()
        await control.get_by_label("gpt-4o-mini", exact=False).check()
        await control.get_by_role("button", name=viewer.say("Apply")).click()
        await viewer.page.wait_for_url("**var.Model=gpt-4o-mini**")
        await tile.get_by_role("link", name="gpt-4o-mini", exact=True).wait_for()
        assert await tile.locator("tbody tr").count() == 1
        await viewer.shot("dashboard")
