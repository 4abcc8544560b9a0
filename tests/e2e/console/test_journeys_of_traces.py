"""What viewers want to know about traces, from the first page to the answer."""

from __future__ import annotations

import re

import pytest

from tests.e2e.console import shop as shop_data
from tests.e2e.console.chromium import Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant, new_tenant
from tests.fixtures.installation import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_from_the_first_start_to_the_first_trace(
    visit: Visiting, installation: Server, screen: Screen
) -> None:
    project_id = f"first-{screen}".replace("_", "-").lower()
    tenant = new_tenant(installation, project_id, f"First project, {screen}")
    async with visit(tenant, screen, signed_in=False) as viewer:
        await viewer.page.goto(tenant.link())
        await viewer.page.wait_for_url(f"**{tenant.home}")
        await viewer.sees("No calls in this time")
        await viewer.shot("first-start")
        await viewer.go("Traces")
        await viewer.sees("No traces yet")
        variables = await viewer.reads()
        assert f"LANGFUSE_HOST={tenant.url}" in variables
        assert f"LANGFUSE_PUBLIC_KEY={tenant.public_key}" in variables
        await viewer.shot("no-traces")
        events = Events("first")
        trace_id = events.trace("hello", 2, input="Hello?", output="Hello!")
        events.step("generation", trace_id, "answer", 2, 1, model="gpt-4o", usage={"input": 5})
        tenant.ingest(events.events)
        tenant.wait_for_traces(1)
        await viewer.link("Load again").click()
        await viewer.link("hello").click()
        await viewer.sees("Hello!")
        await viewer.page.locator("[data-tree-rows]").get_by_text("answer").wait_for()
        await viewer.shot("first-trace")


async def test_why_a_request_was_slow(visit: Visiting, shop: Tenant, screen: Screen) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.shot("overview")
        latency = viewer.page.locator("dl.cards div").filter(has_text=viewer.say("Latency p95"))
        await latency.get_by_role("link").first.click()
        slowest = viewer.page.locator("[data-rows] tbody a.open").first
        await slowest.wait_for()
        assert await slowest.inner_text() == "checkout-help"
        await viewer.shot("slowest-traces")
        await slowest.click()
        tree = viewer.page.get_by_role("tree")
        row = tree.get_by_role("treeitem").filter(has_text=shop_data.SLOW_STEP)
        assert "critical" in (await row.get_attribute("class") or "")
        await row.click()
        await viewer.sees("the index was rebuilt while it was read")
        assert re.search("44 (s|秒)", await row.inner_text())
        assert "observation=" in viewer.page.url
        await viewer.shot("slow-trace")


async def test_who_spends_most_today_and_on_what(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open("?range=24h")
        spender = viewer.page.locator(".tops tr").filter(has_text=shop_data.SPENDER).first
        await spender.locator("td.number a").click()
        await viewer.page.wait_for_url(re.compile(r"/traces\?"))
        names = await viewer.page.locator("[data-rows] tbody a.open").all_inner_texts()
        assert names.count("summarize-orders") == 3
        await viewer.shot("traces-of-user")
        await viewer.link("summarize-orders").click()
        await viewer.page.get_by_role("treeitem").filter(has_text="summarize").first.click()
        await viewer.sees("gpt-4o", re.compile(r"60,000"), re.compile(r"\$0\.17"))
        await viewer.shot("expensive-trace")


async def test_what_a_user_said_in_a_session(visit: Visiting, shop: Tenant, screen: Screen) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open()
        await viewer.go("Users")
        await viewer.shot("users")
        await viewer.link("ada", exact=True).click()
        await viewer.page.locator("[data-rows] tbody a.open").first.click()
        await viewer.link(shop_data.SESSION).click()
        await viewer.sees(shop_data.QUESTION, shop_data.ANSWER)
        turns = await viewer.reads()
        assert turns.index("1182?") < turns.index(shop_data.QUESTION) < turns.index("Thank you!")
        await viewer.shot("session")
