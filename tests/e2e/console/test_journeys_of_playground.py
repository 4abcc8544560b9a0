"""A prompt is compiled while its values are typed."""

from __future__ import annotations

import pytest

from tests.e2e.console.chromium import Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_values_appear_in_what_is_sent_and_the_focus_stays(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        # Other journeys move the label of the version that is shown without a number.
        await viewer.open("/prompts/support%2Fanswer?version=3")
        await viewer.link("Open in the playground").click()
        await viewer.page.wait_for_url("**/playground**")
        value = viewer.page.locator('textarea[name="value.language"]')
        await value.click()
        async with viewer.page.expect_response("**/playground-previews"):
            await viewer.page.keyboard.type("Finnish")
        await viewer.page.locator("[data-variables]").get_by_text("Answer in Finnish").wait_for()
        assert await value.evaluate("element => element === document.activeElement")
        assert await value.input_value() == "Finnish"
        await viewer.shot("playground")
