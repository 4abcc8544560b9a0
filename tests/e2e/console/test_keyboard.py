"""The first journeys with the keyboard alone."""

from __future__ import annotations

import re

import pytest

from tests.e2e.console import shop as shop_data
from tests.e2e.console.chromium import DESK
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_signing_in_and_opening_the_newest_trace(visit: Visiting, shop: Tenant) -> None:
    async with visit(shop, DESK, signed_in=False) as viewer:
        keyboard = viewer.page.keyboard
        await viewer.page.goto(f"{shop.url}{shop.home}")
        await viewer.page.wait_for_url(re.compile("/console/sign-in"))
        await viewer.page.locator("[name=public_key]:focus").wait_for()
        await keyboard.type(shop.public_key)
        await keyboard.press("Tab")
        await keyboard.type(shop.secret_key)
        await keyboard.press("Enter")
        await viewer.page.wait_for_url(re.compile(f"{shop.home}$"))
        await viewer.settled()
        await viewer.tab_to(viewer.page.get_by_role("link", name="Traces", exact=True).first)
        await keyboard.press("Enter")
        first = viewer.page.locator("[data-rows] tbody a.open").first
        await first.wait_for()
        name = await first.inner_text()
        await viewer.press("j", "Enter")
        await viewer.page.wait_for_url(re.compile("/traces/"))
        assert await viewer.page.get_by_role("heading", level=1).inner_text() == name


async def test_why_a_request_was_slow(visit: Visiting, shop: Tenant) -> None:
    async with visit(shop, DESK) as viewer:
        keyboard = viewer.page.keyboard
        await viewer.open()
        await viewer.settled()
        latency = viewer.page.locator("dl.cards div").filter(has_text="Latency p95")
        await viewer.tab_to(latency.get_by_role("link").first)
        await keyboard.press("Enter")
        await viewer.page.wait_for_url(re.compile("order=latency"))
        await viewer.press("/")
        await keyboard.type("name:checkout")
        await keyboard.press("Enter")
        await viewer.page.wait_for_url(re.compile("q=name"))
        await viewer.press("j", "Enter")
        rows = viewer.page.get_by_role("treeitem")
        await rows.filter(has_text=shop_data.SLOW_STEP).wait_for()
        await viewer.press("j", "j", "j")
        await viewer.sees("the index was rebuilt while it was read")
        await viewer.press("?")
        await viewer.page.get_by_role("dialog").wait_for()
        await keyboard.press("Escape")
        await viewer.page.get_by_role("dialog").wait_for(state="hidden")


async def test_rows_of_a_chart_are_chosen_after_it_was_replaced(
    visit: Visiting, shop: Tenant
) -> None:
    async with visit(shop, DESK) as viewer:
        await viewer.open("/explore?kind=bar&measure=cost_usd&by=model&range=24h&top=5")
        groups = viewer.page.locator('select[name="by"]').first
        await groups.select_option("user_id")
        rows = viewer.page.locator("[data-rows] tbody tr")
        await rows.filter(has_text=shop_data.SPENDER).wait_for()
        await viewer.press("Escape", *"j" * await rows.count())
        last = viewer.page.locator("[data-rows] tbody tr.current")
        assert await last.inner_text() == await rows.last.inner_text()
        # The others together lead nowhere.
        await viewer.press("k", "Enter")
        await viewer.page.wait_for_url(re.compile("/observations|/traces"))


async def test_a_server_that_does_not_answer_is_reported_until_it_does(
    visit: Visiting, shop: Tenant
) -> None:
    async with visit(shop, DESK) as viewer:
        await viewer.open("/budgets/new")
        await viewer.page.locator("#preview .lines, #preview p").first.wait_for()
        message = viewer.page.locator("#unreachable")
        assert await message.is_hidden()
        preview = "**/budgets/preview"
        await viewer.page.route(preview, lambda route: route.abort("connectionrefused"))
        limit = viewer.page.get_by_label(viewer.say("Limit in US dollars"))
        await limit.fill("1")
        await message.wait_for()
        assert viewer.faults
        viewer.faults.clear()
        await viewer.page.unroute(preview)
        await limit.fill("2")
        await message.wait_for(state="hidden")
