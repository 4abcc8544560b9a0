"""A browser and the projects that it visits, shared by all tests of the console in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.e2e.console.chromium import (
    EXECUTABLE,
    MISSING,
    SCREENS,
    SCREENSHOTS,
    Screen,
    is_installed,
)
from tests.e2e.console.definitions import define, fire_alert
from tests.e2e.console.shop import fill
from tests.e2e.console.tenants import Tenant, new_tenant
from tests.e2e.console.visit import Visit, visiting
from tests.fixtures.installation import Server

Visiting = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser; each visit has a profile of its own."""
    if not is_installed():
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the screenshots."""
    path = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def visit(chromium: Browser, screenshots: Path) -> Visiting:
    """Visits a project: ``async with visit(tenant, screen) as page``."""
    return partial(visiting, chromium, screenshots=screenshots)


@pytest.fixture(params=SCREENS, ids=str)
def screen(request: pytest.FixtureRequest) -> Screen:
    return request.param


@pytest.fixture(scope="session")
def shop(chromium: Browser, installation: Server) -> Tenant:
    """A project with the traces of a day, and a record of every kind."""
    tenant = new_tenant(installation, "shop", "Northwind")
    fill(tenant)
    define(tenant)
    fire_alert(tenant)
    return tenant
