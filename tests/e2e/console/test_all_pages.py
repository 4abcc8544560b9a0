"""Every page of the console is reachable, accessible, and shows every text as text."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from deploy.assets.install import file_for_tests
from tests.e2e.console.chromium import DESK, PAIRS
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.crawl import PAGES, PARTS, crawl
from tests.e2e.console.definitions import define, fire_alert
from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant, new_tenant
from tests.e2e.console.visit import Visit
from tests.fixtures.installation import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = """<script>window.ran=1</script><img src=x onerror=window.ran=1>"'`&lt;b>{{7*7}}"""
PHONE = PAIRS[1]


def named(plain: str) -> str:
    return f"{plain} {MARKUP}"


SHAPES: dict[str, Any] = {
    "text": named("text"),
    "json": {named("key"): [named("value"), {named("inner"): None}]},
    "markdown": "**bold** [a](javascript:window.ran=1) [b](data:text/html,x) "
    f"![c](https://elsewhere.example/c.png)\n\n- {named('item')}\n\n| d |\n|-:|\n| {named('e')} |",
    "messages": [
        {"role": named("role"), "content": named("content")},
        {"role": "user", "content": [{"type": "text", "text": named("part")}]},
        {"role": "tool", "name": named("tool"), "content": named("result")},
    ],
}
AXE = """theme => axe.run(document, {
    resultTypes: ['violations'],
    ...(theme ? {runOnly: ['color-contrast']} : {}),
}).then(found => found.violations)"""
SERIOUS = {"serious", "critical"}
ADDED = """() => ({
    ran: window.ran ?? 0,
    images: document.querySelectorAll('img[src="x"], [onerror]').length,
    scripts: document.querySelectorAll('main script, svg script').length,
    shown: document.body.textContent.includes('<img src=x'),
})"""


async def test_every_page_is_reached_by_links_and_accessible_in_both_themes(
    visit: Visiting, shop: Tenant
) -> None:
    axe = file_for_tests("axe.min.js").read_text()
    found: list[str] = []
    reached = set(PARTS)
    async with visit(shop, DESK) as viewer:
        async for opened in crawl(viewer):
            reached.add(opened.page.path)
            await viewer.page.evaluate(axe)
            for theme in ("light", "dark"):
                await viewer.page.emulate_media(color_scheme=theme)
                violations = await viewer.page.evaluate(AXE, theme == "dark")
                found += [
                    f"{opened.name} ({theme}): {each['id']}: {nodes_of(each)}"
                    for each in violations
                    if each["impact"] in SERIOUS
                ]
            await viewer.page.emulate_media(color_scheme="light")
            if len(reached) == len(PAGES):
                break
        assert not found, "\n".join(found)
    assert {each.path for each in PAGES} - reached == set()


def nodes_of(violation: dict[str, Any]) -> str:
    return " | ".join(
        f"{' '.join(map(str, node['target']))} {node['html'][:160]} {node['failureSummary']}"
        for node in violation["nodes"][:2]
    )


@pytest.fixture(scope="module")
def hostile(installation: Server, visit: Visiting) -> Tenant:
    """A project in which every text has markup."""
    tenant = new_tenant(installation, "hostile", f"Hostile {MARKUP}")

    define(tenant, named)
    fire_alert(tenant)
    events = Events("hostile")
    texts = {each: named(each) for each in ("name", "userId", "sessionId", "release", "version")}
    for kind, shape in SHAPES.items():
        trace_id = events.trace(
            ago_s=1, id=named(kind), tags=[named("tag")],
            input=shape, output=shape, metadata={named("k"): shape}, **texts,
        )  # fmt: skip
        events.step(
            "generation", trace_id, named("call"), 1, 0.5, id=named(f"step {kind}"),
            model=named("model"), level="ERROR", statusMessage=named("failed"), input=shape,
            output=shape, metadata={named("k"): shape}, usageDetails={named("input"): 3},
            modelParameters={named("temperature"): named("high")},
        )  # fmt: skip
    tenant.ingest(events.events)
    tenant.wait_for_observation(events.events[-1]["body"]["id"])
    return tenant


async def test_markup_in_any_text_is_shown_and_does_nothing(
    visit: Visiting, hostile: Tenant
) -> None:
    shown, added = set(), []

    async def look(viewer: Visit, name: str) -> None:
        found = await viewer.page.evaluate(ADDED)
        if found.pop("shown"):
            shown.add(name)
        if any(found.values()):
            added.append((name, found))
        await viewer.shot(f"hostile-{name}")

    async with visit(hostile, PHONE) as viewer:
        async for opened in crawl(viewer):
            await look(viewer, opened.name)
        for kind in SHAPES:
            path = f"/traces/{quote(named(kind), safe='')}"
            for query in ("", f"?observation={quote(named(f'step {kind}'), safe='')}"):
                await viewer.open(f"{path}{query}")
                await viewer.settled()
                await look(viewer, f"{kind}{'-step' * bool(query)}")
        assert added == []
    expected = {"traces", "sessions", "users", "budgets", "alerts", *SHAPES}
    assert expected | {f"{each}-step" for each in SHAPES} <= shown
