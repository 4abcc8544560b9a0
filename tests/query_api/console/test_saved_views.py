"""Saved views in the console: saved from a page, listed in its menu, renamed and deleted."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from tests.query_api.console.browser import HOME, csrf_in, signed_in_with, text_of
from tests.query_api.harness import Api, Kept, trace

pytestmark = pytest.mark.asyncio(loop_scope="module")
MARKUP = "<b>Slow</b> & expensive"
VIEWS = f"{HOME}/views"
HTMX = {"hx-request": "true"}


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    return kept([trace("t", name="chat")])


async def save(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    csrf = csrf_in((await client.get(VIEWS)).text)
    form = {"csrf": csrf, "page": "traces", "query": "q=name:chat&range=all", **fields}
    return await client.post(VIEWS, data=form)


async def menu(client: httpx.AsyncClient, page: str, query: str = "") -> str:
    """The menu of a page as htmx loads it."""
    shown = (await client.get(f"{HOME}/{page}?{query}")).text
    path = re.search(r'<div class="panel" hx-get="([^"]+)" hx-trigger="toggle', shown)
    assert path, text_of(shown)
    loaded = await client.get(unescape(path[1]), headers=HTMX)
    assert loaded.status_code == 200
    assert "<html" not in loaded.text
    return loaded.text


async def test_a_view_is_saved_from_the_menu_and_is_a_link(client: httpx.AsyncClient) -> None:
    query = "q=name%3Achat&range=all"
    part = await menu(client, "traces", f"{query}&order=latency.desc")
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', part))
    saved = await save(client, query=unescape(form["query"]), name=MARKUP)
    assert saved.status_code == 303
    address = saved.headers["location"]
    assert address == f"{HOME}/traces?{query}&order=latency.desc"
    assert "chat" in text_of((await client.get(address)).text)
    part = await menu(client, "traces", f"order=latency.desc&{query}")
    link = re.search(r'<a href="([^"]+)" aria-current="true">([^<]+)</a>', part)
    assert link
    assert [unescape(each) for each in link.groups()] == [address, MARKUP]
    assert 'aria-current="true">' not in await menu(client, "traces", query)
    for page in ("observations", "sessions", "explore"):
        assert "No saved views of this page yet." in await menu(client, page)


async def test_a_taken_name_is_shown_and_can_be_saved_over(client: httpx.AsyncClient) -> None:
    assert (await save(client, name="Chats")).status_code == 303
    taken = await save(client, name="Chats", query="range=24h")
    assert taken.status_code == 409
    assert "the page traces already has a view 'Chats'" in text_of(taken.text)
    assert 'value="Chats"' in taken.text
    assert "Save over it" in taken.text
    over = await save(client, name="Chats", query="range=24h", replaces="1")
    assert over.headers["location"] == f"{HOME}/traces?range=24h"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"name": ""}, 422, "at least 1 needed"),
        ({"name": "x", "query": "q=planet:mars"}, 400, "'planet' is not one of name"),
        ({"name": "x", "page": "settings"}, 400, "is not one of traces"),
    ],
)
async def test_a_refused_view_is_shown_with_the_fault(
    client: httpx.AsyncClient, fields: dict[str, str], status: int, message: str
) -> None:
    refused = await save(client, **fields)
    assert refused.status_code == status
    assert message in text_of(refused.text)


async def test_a_view_is_renamed_and_deleted(client: httpx.AsyncClient, filled_api: Api) -> None:
    for name in ("Old", "Taken"):
        await save(client, name=name, page="users", query="order=cost")
    page = (await client.get(f"{VIEWS}?page=users")).text
    assert "order: cost" in text_of(page)
    ids = dict(re.findall(r"(\w+)</a></td>.*?/views/(\w+)/rename", page, re.DOTALL))
    csrf = {"csrf": csrf_in(page)}
    path = f"{VIEWS}/{ids['Old']}"
    refused = await client.post(f"{path}/rename", data={**csrf, "name": "Taken"})
    assert refused.status_code == 409
    assert "already has a view 'Taken'" in text_of(refused.text)
    assert (await client.post(f"{path}/rename", data={**csrf, "name": "New"})).status_code == 303
    listed = await filled_api.client.get("/v1/views?page=users")
    found = {each["name"]: each["id"] for each in listed.json()["data"]}
    assert set(found) == {"New", "Taken"}
    gone = await client.post(f"{VIEWS}/{found['New']}/delete", data=csrf)
    assert gone.headers["location"] == f"{VIEWS}?page=users"
    assert "New" not in text_of((await client.get(f"{VIEWS}?page=users")).text)
    assert (await client.post(f"{path}/delete", data=csrf)).status_code == 404


async def test_who_only_reads_cannot_save(filled_api: Api) -> None:
    async with signed_in_with(filled_api, "read") as reader:
        assert "Save" not in text_of(await menu(reader, "traces"))
        page = (await reader.get(f"{VIEWS}?page=traces&query=range%3D24h")).text
        assert "Rename" not in page
        assert 'action="' + VIEWS not in page
        assert (await save(reader, name="x")).status_code == 403
