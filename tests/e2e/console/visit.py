"""A visit to the console with a browser, which notes everything that went wrong in it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request

from query_api.console.preferences import ZONE_COOKIE
from query_api.console.translations import translations_of
from tests.e2e.console.chromium import TIMEOUT_MS, Screen
from tests.e2e.console.tenants import Tenant

HEIGHT = 900
TABS_MAX = 120
FRAMES = 3
"""Frames within which scripts begin to load what they need."""
NEXT_FRAME = "new Promise(requestAnimationFrame)"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = (
    "element => element === document.activeElement || element.contains(document.activeElement)"
)


class Visit:
    """A viewer with one page of a browser."""

    def __init__(self, page: Page, tenant: Tenant, screen: Screen, screenshots: Path) -> None:
        self.page = page
        self.tenant = tenant
        self.screen = screen
        self.faults: list[str] = []
        """Errors of scripts, what the CSP refused, failed requests, and those to other hosts."""
        self._loading: set[Request] = set()
        self._screenshots = screenshots
        self._host = urlsplit(tenant.url).netloc
        self.say: Callable[[str], str] = translations_of(screen.locale).gettext
        """Translates a text of the console to the language of the viewer."""
        page.on("console", self._of_console)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("request", self._of_request)
        page.on("requestfailed", self._of_failure)
        page.on("requestfinished", self._of_finished)

    async def open(self, path: str = "") -> None:
        """Open a page of the project by its path below it."""
        await self.page.goto(f"{self.tenant.url}{self.tenant.home}{path}")

    async def go(self, page_title: str) -> None:
        """Open a page by the navigation."""
        if self.screen.width < 1_000:
            await self.page.get_by_role("button", name=self.say("Pages")).click()
        navigation = self.page.get_by_role("navigation", name=self.say("Pages"), exact=True)
        await navigation.get_by_role("link", name=self.say(page_title), exact=True).click()

    def link(self, text: str, *, exact: bool = False) -> Locator:
        return self.page.get_by_role("link", name=self.say(text), exact=exact).first

    def button(self, text: str) -> Locator:
        return self.page.get_by_role("button", name=self.say(text), exact=True).first

    def text(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.locator("main").get_by_text(text).first

    async def sees(self, *texts: str | re.Pattern[str]) -> None:
        """Wait until the page shows these texts."""
        for each in texts:
            shown = self.say(each) if isinstance(each, str) else each
            await self.text(shown).wait_for(timeout=TIMEOUT_MS)

    async def reads(self) -> str:
        """Return the text of the content."""
        return await self.page.locator("main").inner_text()

    async def settled(self) -> None:
        """Wait until scripts have drawn the page: a frame later, nothing is loading any more."""
        deadline_s = time.monotonic() + TIMEOUT_MS / 1_000
        await self.page.wait_for_load_state("load")
        for _ in range(FRAMES):
            await self.page.evaluate(NEXT_FRAME)
            while self._loading:
                assert time.monotonic() < deadline_s, [each.url for each in self._loading]
                await self.page.evaluate(NEXT_FRAME)

    async def shot(self, name: str) -> None:
        """Keep a screenshot; it is a fault if anything is wider than the screen."""
        await self.settled()
        sideways = await self.page.evaluate(SIDEWAYS)
        if sideways > 0:
            self.faults.append(f"{self.page.url} is {sideways} px wider than {self.screen}")
        path = self._screenshots / f"{name[:100]}-{self.screen}.png"
        await self.page.screenshot(path=path)

    async def press(self, *keys: str) -> None:
        """Press keys one after another, once the scripts of the page handle them."""
        await self.settled()
        for each in keys:
            await self.page.keyboard.press(each)

    async def tab_to(self, target: Locator) -> None:
        """Move the focus with the keyboard."""
        await target.wait_for(timeout=TIMEOUT_MS)
        for _ in range(TABS_MAX):
            if await target.evaluate(FOCUSED):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} cannot be reached with Tab on {self.page.url}")

    def _of_console(self, message: ConsoleMessage) -> None:
        # htmx logs as an error that a newer request has replaced an older one.
        is_replaced = message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
        if message.type in {"error", "warning"} and not is_replaced:
            self.faults.append(f"{self.page.url}: {message.text}")

    def _of_request(self, request: Request) -> None:
        if request.resource_type != "eventsource":
            self._loading.add(request)
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc != self._host:
            self.faults.append(f"{self.page.url} requests {request.url[:200]}")

    def _of_finished(self, request: Request) -> None:
        self._loading.discard(request)

    def _of_failure(self, request: Request) -> None:
        self._loading.discard(request)
        # A script ends a request whose answer it no longer needs, and so does leaving a page.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"{request.url[:200]}: {request.failure}")


@asynccontextmanager
async def visiting(
    browser: Browser, tenant: Tenant, screen: Screen, screenshots: Path, *, signed_in: bool = True
) -> AsyncIterator[Visit]:
    """Visit the console; fail if something went wrong in the browser."""
    context = await browser.new_context(
        viewport={"width": screen.width, "height": HEIGHT},
        color_scheme=screen.theme,  # type: ignore[arg-type]
        locale=screen.language,
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        service_workers="block",
    )
    context.set_default_timeout(TIMEOUT_MS)
    try:
        if signed_in:
            cookies = [*session_of(tenant).items(), (ZONE_COOKIE, "Europe/Berlin")]
            await context.add_cookies(
                [{"name": name, "value": value, "url": tenant.url} for name, value in cookies]
            )
        visit = Visit(await context.new_page(), tenant, screen, screenshots)
        try:
            yield visit
        except BaseException:
            await visit.page.screenshot(path=screenshots / f"failed-{screen}.png")
            raise
        assert not visit.faults, "\n".join(visit.faults)
    finally:
        await context.close()


def session_of(tenant: Tenant) -> dict[str, str]:
    """Return the cookie of a new session, as the form of the sign-in sets it."""
    keys = {"public_key": tenant.public_key, "secret_key": tenant.secret_key}
    answer = httpx.post(f"{tenant.url}/console/sign-in", data=keys, timeout=60)
    assert answer.status_code == 303, answer.text
    return dict(answer.cookies)
