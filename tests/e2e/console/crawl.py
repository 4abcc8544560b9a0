"""Follow the links of the console from its first page to every page that is registered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.routing import compile_path

from query_api.console.page import Page, registered
from query_api.console.routes import path_of
from tests.e2e.console.visit import Visit

PAGES = tuple(each for each in registered() if isinstance(each, Page))
PAGES_BY_PATH = {each.path: each for each in PAGES}
PARTS = frozenset(("/overview/tops", "/overview/budgets", "/experiments/results"))
"""Pages that no page links to: scripts load them as parts of others, or SDKs print their links."""
_PATTERNS = [(compile_path(path_of(each))[0], each) for each in PAGES]
SAME_TEXTS = frozenset(("cursor", "order", "from", "to", "range"))
"""Parameters that choose other rows of a page, which are shown in the same way."""
TABS = frozenset(("tab", "view", "show"))
"""Parameters that choose what a page shows."""
# Links of charts are of SVG, whose `href` is no text.
LINKS = """Array.from(
    document.querySelectorAll('a[href]'),
    link => new URL(link.getAttribute('href'), document.baseURI).href,
)"""
VISITS_MAX = 200
WITH_OTHER_CONTENT = frozenset(("/datasets/{name:path}",))
"""Pages of which some have links that others do not have."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that was opened, with what matters of its query string."""

    page: Page
    parameters: frozenset[str]

    @property
    def name(self) -> str:
        """The name of a file for this page."""
        words = [self.page.path, *sorted(self.parameters)]
        return re.sub(r"\W+", "-", "-".join(words)).strip("-") or "overview"


async def crawl(viewer: Visit) -> AsyncIterator[Opened]:
    """Follow links; wait for the scripts of each page, which may load parts that are pages, too.

    Each page is opened once for each set of names in query strings that lead to it, and pages that
    were not open yet come first. If some are missing then, the other links to pages are followed,
    because only some datasets have runs, for instance.
    """
    waiting = {Opened(PAGES_BY_PATH[""], frozenset()): viewer.tenant.home}
    found: set[Opened] = set()
    same: dict[str, Opened] = {}
    followed: set[str] = set()
    visits = 0
    while waiting or (same and len({each.page.path for each in found} | PARTS) < len(PAGES)):
        known = {each.page.path for each in found}
        if waiting:
            opened = next(
                (each for each in waiting if each.page.path not in known), next(iter(waiting))
            )
            path = waiting.pop(opened)
        else:
            path = next(iter(same))
            opened = same.pop(path)
        found.add(opened)
        visits += 1
        assert visits <= VISITS_MAX, found
        answer = await viewer.page.goto(f"{viewer.tenant.url}{path}", wait_until="load")
        assert answer is not None
        assert answer.ok, f"{answer.status} {path}"
        await viewer.settled()
        yield opened
        for url in await viewer.page.evaluate(LINKS):
            path = url.removeprefix(viewer.tenant.url)
            leads_to = opened_by(path) if path.startswith("/") else None
            if leads_to is None:
                continue
            if leads_to not in found and waiting.setdefault(leads_to, path) == path:
                continue
            if leads_to.page.path in WITH_OTHER_CONTENT and path not in followed:
                same[path] = leads_to
                followed.add(path)


def opened_by(url: str) -> Opened | None:
    """Return the page that an address opens; None if it opens none."""
    parts = urlsplit(url)
    for pattern, page in _PATTERNS:
        if pattern.match(parts.path):
            names = {
                f"{name}={value}" if name in TABS else name
                for name, value in parse_qsl(parts.query, keep_blank_values=True)
            }
            return Opened(page, frozenset(names - SAME_TEXTS))
    return None
