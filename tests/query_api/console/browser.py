"""A client that behaves as a browser does, as far as the console needs it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import httpx

from producers.control.keys import new_api_key
from tests.query_api.harness import NOON_US, PROJECT, Api

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOME = f"/project/{PROJECT}"
SIGN_IN = "/console/sign-in"


def browser(api: Api, **cookies: str) -> httpx.AsyncClient:
    """A browser without a session."""
    return httpx.AsyncClient(
        transport=api.anonymous._transport, base_url="http://tracemill", headers=HTML,
        cookies=cookies,
    )  # fmt: skip


@asynccontextmanager
async def signed_in(
    api: Api, project: str = PROJECT, **cookies: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session of a project's key."""
    async with browser(api, **cookies) as client:
        keys = {"public_key": f"pk-{project}", "secret_key": f"sk-{project}"}
        answer = await client.post(SIGN_IN, data=keys)
        assert answer.status_code == 303, answer.text
        yield client


@asynccontextmanager
async def signed_in_with(api: Api, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session of a new key that has these scopes."""
    name = "-".join(scopes)
    key = new_api_key(
        key_id=name, project_id=PROJECT, public_key=f"pk-{name}", secret=f"sk-{name}",
        created_us=NOON_US, scopes=scopes,
    )  # fmt: skip
    api.control.keep(key)
    async with browser(api) as client:
        keys = {"public_key": key.public_key, "secret_key": f"sk-{name}"}
        answer = await client.post(SIGN_IN, data=keys)
        assert answer.status_code == 303, answer.text
        yield client


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page[:500]
    return unescape(found[1])


def text_of(page: str) -> str:
    """The text that a page shows, without its markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))
