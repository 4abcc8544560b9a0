"""What the first load of a page takes from the network."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.console.chromium import DESK
from tests.e2e.console.conftest import Visiting
from tests.e2e.console.tenants import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")

OVERVIEW_BYTES_MAX = 300_000


async def test_the_first_load_of_the_overview_is_small(visit: Visiting, shop: Tenant) -> None:
    received: list[float] = []

    def count(event: dict[str, Any]) -> None:
        received.append(event["encodedDataLength"])

    async with visit(shop, DESK) as viewer:
        network = await viewer.page.context.new_cdp_session(viewer.page)
        network.on("Network.loadingFinished", count)
        await network.send("Network.enable")
        await viewer.open()
        await viewer.settled()
    assert len(received) > 3
    assert sum(received) <= OVERVIEW_BYTES_MAX
