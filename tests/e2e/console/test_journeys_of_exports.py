"""Rows of a list are downloaded with their progress."""

from __future__ import annotations

import csv
import re

import pytest

from tests.e2e.console.chromium import SCREENS, Screen
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")
WIDE = [each for each in SCREENS if each.width > 640]


@pytest.mark.parametrize("screen", WIDE, ids=str)
async def test_the_rows_of_a_search_are_downloaded(
    visit: Visiting, shop: Tenant, screen: Screen
) -> None:
    async with visit(shop, screen) as viewer:
        await viewer.open("/observations?q=level:error")
        shown = await viewer.page.locator("[data-rows] tbody tr").count()
        assert shown
        for title in ("CSV", "Parquet"):
            await viewer.text(viewer.say("Export")).click()
            async with viewer.page.expect_download() as downloading:
                await viewer.link(title, exact=True).click()
            download = await downloading.value
            assert re.fullmatch(rf"observations-\S+\.{title.lower()}", download.suggested_filename)
            path = await download.path()
            if title == "CSV":
                with path.open(newline="") as file:
                    assert len(list(csv.DictReader(file))) == shown
            else:
                assert path.read_bytes().endswith(b"PAR1")
            status = await viewer.page.locator("[data-text]").inner_text()
            assert str(shown) in status
        await viewer.shot("export")
