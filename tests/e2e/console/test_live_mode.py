"""Live mode: charts and numbers follow what arrives while the page is open."""

from __future__ import annotations

import re

import pytest

from tests.e2e.console.chromium import DESK, TIMEOUT_MS
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")
HAS_DRAWN = """number => {
    const { chart } = document.querySelector('[data-live="observations"]');
    return chart?.chart && chart.series[0].values.reduce((sum, each) => sum + each, 0) === number;
}"""


async def test_charts_numbers_and_shares_follow_what_arrives(visit: Visiting, shop: Tenant) -> None:
    async with visit(shop, DESK) as viewer:
        page = viewer.page
        await viewer.open("?filter=model:m-live&by=observations")
        await viewer.link("Live", exact=True).click()
        await page.wait_for_url(re.compile("live=1"))
        await page.wait_for_function(HAS_DRAWN, arg=0, timeout=TIMEOUT_MS)
        events = Events("live")
        for _ in range(3):
            trace_id = events.trace("live-question", 1)
            events.step("generation", trace_id, "answer", 1, 1, model="m-live")
        shop.ingest(events.events)
        await page.wait_for_function(HAS_DRAWN, arg=3, timeout=TIMEOUT_MS)
        traces = page.locator("#numbers .card-number").nth(1)
        await traces.get_by_role("link", name="3", exact=True).wait_for(timeout=TIMEOUT_MS)
        await page.locator(".tops").get_by_text("live-question").first.wait_for(timeout=TIMEOUT_MS)
        await viewer.shot("live")
