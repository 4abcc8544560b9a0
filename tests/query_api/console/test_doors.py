"""Every page, action and piece of data of the console checks session, project, scope and form.

The tests walk what is registered, so that a new page is covered when it is added.
"""

from __future__ import annotations

import re

import pytest

from producers.control.keys import new_api_key, with_secret
from query_api.console import sessions
from query_api.console.page import Action, Data, Page, Registered, registered
from query_api.console.routes import path_of
from tests.query_api.console.browser import SIGN_IN, browser, csrf_in, signed_in
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api

PAGES = [each for each in registered() if isinstance(each, Page)]
ACTIONS = [each for each in registered() if isinstance(each, Action)]
DATA = [each for each in registered() if isinstance(each, Data)]
FOREIGN = "https://elsewhere.example"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def filled(each: Registered, project: str = PROJECT) -> str:
    path = path_of(each).replace("{project_id}", project)
    return re.sub(r"\{[^}]+\}", "x", path)


async def test_static_files_are_compressed_named_by_content_and_kept(refusing_api: Api) -> None:
    async with browser(refusing_api) as client:
        page = await client.get(SIGN_IN)
        paths = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page.text)
        assert paths
        for path in paths:
            bodies = set()
            for encoding in ("br", "gzip", "identity"):
                file = await client.get(path, headers={"accept-encoding": encoding})
                assert file.status_code == 200
                assert file.headers.get("content-encoding", "identity") == encoding
                assert "immutable" in file.headers["cache-control"]
                if encoding != "br":
                    bodies.add(file.content)
            assert len(bodies) == 1
            assert (await client.get(re.sub(r"\.\w+\.", ".0.", path))).status_code == 404


def ids(each: Registered) -> str:
    return path_of(each)


def add_key(api: Api, name: str, *scopes: str, **fields: object) -> None:
    key = new_api_key(
        key_id=name, project_id=PROJECT, public_key=f"pk-{name}", secret=f"sk-{name}",
        created_us=NOON_US, scopes=scopes or ("read",), **fields,
    )  # fmt: skip
    api.control.keep(key)


@pytest.mark.parametrize("page", PAGES, ids=ids)
async def test_a_page_without_a_session_leads_to_the_sign_in_and_back(
    refusing_api: Api, page: Page
) -> None:
    async with browser(refusing_api) as client:
        answer = await client.get(f"{filled(page)}?q=a%2Fb")
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(f"{SIGN_IN}?next=%2Fproject%2F{PROJECT}")
        form = await client.get(answer.headers["location"])
        assert form.status_code == 200
        target = re.search(r'name="next" value="([^"]*)"', form.text)
        assert target
        assert target[1] == f"{filled(page)}?q=a%2Fb"


@pytest.mark.parametrize("each", [*ACTIONS, *DATA], ids=ids)
async def test_actions_and_data_without_a_session_are_refused(
    refusing_api: Api, each: Registered
) -> None:
    async with browser(refusing_api) as client:
        method = "POST" if isinstance(each, Action) else "GET"
        assert (await client.request(method, filled(each), data=None)).status_code == 403


@pytest.mark.parametrize("each", registered(), ids=ids)
async def test_a_session_does_not_open_another_project(refusing_api: Api, each: Registered) -> None:
    async with signed_in(refusing_api) as client:
        form = {}
        if isinstance(each, Action):
            form = {"csrf": csrf_in((await client.get(f"/project/{PROJECT}/traces")).text)}
        method = "POST" if isinstance(each, Action) else "GET"
        content = {"data": form} if form else {}
        answer = await client.request(method, filled(each, OTHER), **content)
        assert answer.status_code == 404
        assert OTHER.title() not in answer.text


@pytest.mark.parametrize("action", ACTIONS, ids=ids)
async def test_an_action_needs_the_token_of_its_session_and_a_form_of_this_server(
    refusing_api: Api, action: Action
) -> None:
    async with (
        signed_in(refusing_api) as client,
        signed_in(refusing_api) as another,
    ):
        token = csrf_in((await client.get(f"/project/{PROJECT}/traces")).text)
        foreign = csrf_in((await another.get(f"/project/{PROJECT}/traces")).text)
        path = filled(action)
        for form in ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": token[:-1]}):
            assert (await client.post(path, data=form)).status_code == 403
        good = {"csrf": token}
        for headers in ({"origin": FOREIGN}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            assert (await client.post(path, data=good, headers=headers)).status_code == 403
        assert (await client.post(path, json=good)).status_code == 403
        own = {"origin": "http://tracemill", "sec-fetch-site": "same-origin"}
        answer = await client.post(path, data=good, headers=own)
        assert answer.status_code < 500
        assert answer.status_code != 403 or "scope" in answer.text


@pytest.mark.parametrize("each", registered(), ids=ids)
async def test_a_key_without_the_scope_sees_and_changes_nothing(
    refusing_api: Api, each: Registered
) -> None:
    if each.scope is None:
        return
    add_key(refusing_api, "ingests", "ingest")
    async with browser(refusing_api) as client:
        keys = {"public_key": "pk-ingests", "secret_key": "sk-ingests"}
        assert (await client.post(SIGN_IN, data=keys)).status_code == 303
        form = {}
        if isinstance(each, Action):
            form = {"csrf": csrf_in((await client.get(f"/project/{PROJECT}/traces")).text)}
        method = "POST" if isinstance(each, Action) else "GET"
        answer = await client.request(method, filled(each), **({"data": form} if form else {}))
        assert answer.status_code == 403
        assert repr(each.scope) in answer.text.replace("&#39;", "'")


async def test_a_session_ends_with_its_time_and_its_key(
    refusing_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = f"/project/{PROJECT}/traces"
    add_key(refusing_api, "short")

    async def status(client) -> int:
        return (await client.get(home)).status_code

    async with browser(refusing_api) as client:
        form = {"public_key": "pk-short", "secret_key": "sk-short"}
        await client.post(SIGN_IN, data=form)
        assert await status(client) == 200
        key = next(k for k in refusing_api.control.view.records() if k.id == "short")
        later = 2**52
        rotated = with_secret(key, "another secret of it", previous_valid_until_us=later)
        refusing_api.control.keep(rotated)
        assert await status(client) == 200, "the previous secret is still valid"
        refusing_api.control.keep(with_secret(key, "another secret of it"))
        assert await status(client) == 302
        await client.post(SIGN_IN, data={**form, "secret_key": "another secret of it"})
        assert await status(client) == 200
        await refusing_api.control.delete("api_key", "short")
        assert await status(client) == 302
    async with signed_in(refusing_api) as client:
        assert await status(client) == 200
        real = sessions.Sessions._is_current
        monkeypatch.setattr(
            sessions.Sessions, "_is_current",
            lambda self, started_us: real(self, started_us - 12 * sessions.HOUR_US),
        )  # fmt: skip
        assert await status(client) == 302


async def test_a_changed_cookie_is_no_session(refusing_api: Api) -> None:
    async with signed_in(refusing_api) as client:
        cookie = client.cookies[sessions.COOKIE]
    body, _, signature = cookie.rpartition(".")
    for changed in ("", "x", body, f"{body}.", f"{body}x.{signature}", cookie[:-1], cookie * 50):
        async with browser(refusing_api, **{sessions.COOKIE: changed}) as client:
            assert (await client.get(f"/project/{PROJECT}/traces")).status_code == 302


async def test_the_cookie_is_for_this_server_only(refusing_api: Api) -> None:
    keys = {"public_key": f"pk-{PROJECT}", "secret_key": f"sk-{PROJECT}"}
    async with browser(refusing_api) as client:
        answer = await client.post(SIGN_IN, data=keys)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        answer = await client.post(f"https://tracemill{SIGN_IN}", data=keys)
        assert "secure" in answer.headers["set-cookie"].lower()


async def test_every_answer_forbids_foreign_scripts_frames_and_caches(refusing_api: Api) -> None:
    async with signed_in(refusing_api) as client, browser(refusing_api) as nobody:
        answers = [
            await client.get(f"/project/{PROJECT}/traces"),
            await client.get(f"/project/{PROJECT}/traces/missing"),
            await client.get(f"/console/project/{PROJECT}/tree?trace=missing"),
            await nobody.get(SIGN_IN),
            await nobody.get(f"/project/{PROJECT}/traces"),
        ]
    for answer in answers:
        # Browsers name the origin of a form only with a policy that allows the referrer.
        assert answer.headers["referrer-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "style=" not in answer.text
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=", answer.text)


async def test_programs_get_what_they_got_before(refusing_api: Api) -> None:
    for page in PAGES:
        answer = await refusing_api.anonymous.get(filled(page))
        assert answer.status_code == (404 if page.for_programs is None else 307)
    answer = await refusing_api.anonymous.get(f"/project/{PROJECT}/traces/a%2Fb")
    assert answer.headers["location"] == "/api/public/traces/a%2Fb"


async def test_pages_have_distinct_paths_and_places() -> None:
    paths = [(type(each) is Action, path_of(each)) for each in registered()]
    assert len(paths) == len(set(paths))
    places = [(each.group, each.place) for each in PAGES if each.place is not None]
    assert len(places) == len(set(places))
    assert all(each.title for each in PAGES if each.place is not None)


@pytest.mark.parametrize("page", PAGES, ids=ids)
async def test_a_part_of_a_page_without_a_session_loads_the_page_again(
    refusing_api: Api, page: Page
) -> None:
    async with browser(refusing_api) as client:
        headers = {"accept": "*/*", "hx-request": "true"}
        answer = await client.get(filled(page), headers=headers)
        assert answer.status_code == 403
        assert answer.headers["hx-refresh"] == "true"
        assert not answer.content


async def test_a_part_of_a_page_that_fails_is_a_message_and_no_page(refusing_api: Api) -> None:
    async with signed_in(refusing_api) as client:
        answer = await client.get(filled(PAGES[0], OTHER), headers={"hx-request": "true"})
        assert answer.status_code == 404
        assert answer.text.startswith('<p class="fault"')
