"""Signing in to the console: with a link, with keys, and how guessing is limited."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import pytest

from deploy.price_explanations import BilledPrices
from producers.control.auth import Authenticator
from producers.control.kinds.spent_token import SpentToken
from query_api.app import create_query_api
from query_api.console.attempts import Attempts
from query_api.console.links import Links, link_path
from query_api.console.responses import local_path
from query_api.console.sessions import COOKIE
from query_api.console.settings import ConsoleSettings
from query_api.console.spent_tokens import SpentTokens
from query_api.errors import ConflictError
from query_api.settings import QuerySettings
from tests.query_api.console.browser import HTML, SIGN_IN, browser, csrf_in, signed_in
from tests.query_api.counting import reached
from tests.query_api.harness import ADMIN_KEY, OTHER, PROJECT, Api, ControlInMemory

OLD, NEW = "o" * 32, "n" * 32
KEYS = {"public_key": f"pk-{PROJECT}", "secret_key": f"sk-{PROJECT}"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def client_of(
    control: ControlInMemory, public_url: str = "", **settings: object
) -> httpx.AsyncClient:
    app = create_query_api(
        None, control, Authenticator(control), QuerySettings(public_url=public_url), [],  # type: ignore[arg-type]
        explainer=BilledPrices(), console=ConsoleSettings(**settings),  # type: ignore[arg-type]
    )  # fmt: skip
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://tracemill", headers=HTML)


async def test_browsers_at_the_root_get_the_console_and_programs_what_they_got(
    refusing_api: Api,
) -> None:
    async with browser(refusing_api) as client:
        answer = await client.get("/", follow_redirects=True)
        assert (answer.status_code, answer.url.path) == (200, SIGN_IN)
        await client.post(SIGN_IN, data=KEYS)
        answer = await client.get("/", follow_redirects=False)
        answer = await client.get(answer.next_request.url)
        assert answer.headers["location"] == f"/project/{PROJECT}"
    assert (await refusing_api.anonymous.get("/")).json()["docs"] == "/docs"


async def test_a_link_signs_in_once(refusing_api: Api) -> None:
    async with client_of(refusing_api.control, secret=NEW) as client:
        path = link_path([NEW], f"pk-{PROJECT}")
        answer = await client.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/project/{PROJECT}"
        assert COOKIE in client.cookies
        client.cookies.clear()
        again = await client.get(path)
        assert again.status_code == 403
        assert "used before" in again.text
        assert COOKIE not in client.cookies


async def test_links_of_others_and_of_revoked_keys_are_refused(refusing_api: Api) -> None:
    async with client_of(refusing_api.control, secret=NEW) as client:
        for path in (
            link_path([OLD], f"pk-{PROJECT}"),
            link_path([NEW], "pk-revoked"),
            f"{SIGN_IN}?token=",
            f"{SIGN_IN}?token={'x' * 5_000}",
        ):
            assert (await client.get(path)).status_code == 403


async def test_a_link_signs_in_once_whatever_process_redeems_it(refusing_api: Api) -> None:
    path = link_path([NEW], f"pk-{PROJECT}")
    async with (
        client_of(refusing_api.control, secret=NEW) as one,
        client_of(refusing_api.control, secret=NEW) as another,
    ):
        answers = await asyncio.gather(*(each.get(path) for each in (one, another, one, another)))
        assert sorted(each.status_code for each in answers) == [303, 403, 403, 403]
    async with client_of(refusing_api.control, secret=NEW) as restarted:
        assert (await restarted.get(path)).status_code == 403


async def test_a_link_expires_and_is_then_forgotten(
    refusing_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = refusing_api.control
    clock = [10**15]
    monkeypatch.setattr("query_api.console.links.system_now_us", lambda: clock[0])

    def now_us() -> int:
        return clock[0]

    limited = QuerySettings(spent_tokens_per_project_max=len(spent_in(control)) + 2)  # type: ignore[call-arg]
    spent = SpentTokens(control, limited, now_us)  # type: ignore[arg-type]
    links = Links([NEW], Authenticator(control), spent, valid_s=60, now_us=now_us)  # type: ignore[arg-type]

    def token() -> str:
        return link_path([NEW], f"pk-{PROJECT}").partition("token=")[2]

    first, late, third = token(), token(), token()
    assert await links.redeem(first) is not None
    assert await links.redeem(third) is not None
    before = reached("spent_tokens_per_project_max")
    with pytest.raises(ConflictError):
        await links.redeem(token())
    assert reached("spent_tokens_per_project_max") > before
    held = len(spent_in(control))
    clock[0] += 60 * 10**6
    assert await links.redeem(late) is None
    assert await links.redeem(token()) is not None, "expired ones make room"
    assert len(spent_in(control)) == held - 1
    clock[0] -= 60 * 10**6
    assert await links.redeem(first) is not None, "nothing but its time refuses it any more"


def spent_in(control: ControlInMemory) -> list[SpentToken]:
    return list(control.view.in_project(SpentToken, PROJECT).values())


async def test_a_link_waits_while_the_log_does_not_answer(refusing_api: Api) -> None:
    path = link_path([NEW], f"pk-{PROJECT}")
    async with client_of(refusing_api.control, secret=NEW) as client:
        refusing_api.control.broken = True
        try:
            assert (await client.get(path)).status_code == 503
        finally:
            refusing_api.control.broken = False
        assert (await client.get(path)).status_code == 303


async def test_signing_out_ends_the_session_in_every_process(refusing_api: Api) -> None:
    home = f"/project/{PROJECT}/webhooks/new"
    async with client_of(refusing_api.control, secret=NEW) as client:
        await client.post(SIGN_IN, data=KEYS)
        page = await client.get(home)
        kept = dict(client.cookies)
        form = {"csrf": csrf_in(page.text)}
        answer = await client.post(f"/project/{PROJECT}/sign-out", data=form)
        assert answer.headers["location"] == SIGN_IN
        assert COOKIE not in client.cookies
    for _ in range(2):
        async with client_of(refusing_api.control, secret=NEW) as another:
            another.cookies.update(kept)
            assert (await another.get(home)).status_code == 302


async def test_a_browser_is_signed_in_to_several_projects(refusing_api: Api) -> None:
    homes = [f"/project/{each}/webhooks/new" for each in (PROJECT, OTHER)]
    other = {"public_key": f"pk-{OTHER}", "secret_key": f"sk-{OTHER}"}
    async with client_of(refusing_api.control, secret=NEW) as client:
        await client.post(SIGN_IN, data=KEYS)
        assert (await client.get(homes[1])).status_code == 404
        assert (await client.get(f"{SIGN_IN}?more=1")).status_code == 200
        answer = await client.post(SIGN_IN, data=other)
        assert answer.headers["location"] == f"/project/{OTHER}"
        tokens = set()
        for home in homes:
            page = await client.get(home)
            assert page.status_code == 200
            assert PROJECT.title() in page.text
            assert OTHER.title() in page.text
            tokens.add(csrf_in(page.text))
        assert len(tokens) == 2, "each session has a token of its own"
        await client.post(SIGN_IN, data=KEYS)
        assert client.cookies[COOKIE].count("~") == 1, "one session of a project"
        kept = dict(client.cookies)
        form = {"csrf": csrf_in((await client.get(homes[0])).text)}
        await client.post(f"/project/{PROJECT}/sign-out", data=form)
        client.cookies.update(kept)
        for home in homes:
            assert (await client.get(home)).status_code == 302


async def test_the_secret_can_be_replaced_without_ending_sessions(refusing_api: Api) -> None:
    path = f"/project/{PROJECT}/x"
    async with client_of(refusing_api.control, secret=OLD) as client:
        await client.post(SIGN_IN, data=KEYS)
        cookies = client.cookies
    for secret, status in ((f"{NEW},{OLD}", 404), (NEW, 302)):
        async with client_of(refusing_api.control, secret=secret) as client:
            client.cookies = cookies
            answer = await client.get(f"/project/other-than-{PROJECT}/traces")
            assert answer.status_code == status, path


async def test_wrong_keys_and_the_admin_key_do_not_sign_in(refusing_api: Api) -> None:
    wrong = [
        {},
        {"public_key": "admin", "secret_key": ADMIN_KEY},
        {**KEYS, "secret_key": "wrong"},
        {**KEYS, "public_key": "pk-unknown"},
        {**KEYS, "public_key": f"pk-{PROJECT}:sk-{PROJECT}", "secret_key": ""},
        {**KEYS, "secret_key": "x" * 5_000},
        {**KEYS, "secret_key": "é"},
    ]
    for form in wrong:
        async with client_of(refusing_api.control) as client:
            assert (await client.post(SIGN_IN, data=form or {"x": "y"})).status_code == 403
            assert COOKIE not in client.cookies
    async with client_of(refusing_api.control) as client:
        foreign = {"origin": "https://elsewhere.example"}
        assert (await client.post(SIGN_IN, data=KEYS, headers=foreign)).status_code == 403


async def test_a_proxy_may_replace_the_name_of_the_host(refusing_api: Api) -> None:
    public = "https://traces.example"
    for public_url, origin, status in (
        (public, public, 303),
        (public, "http://tracemill", 303),
        (public, "https://elsewhere.example", 403),
        (public, "null", 403),
        ("", public, 403),
        ("", "http://[", 403),
    ):
        async with client_of(refusing_api.control, public_url=public_url) as client:
            answer = await client.post(SIGN_IN, data=KEYS, headers={"origin": origin})
            assert answer.status_code == status, (public_url, origin)
            if status == 303 and public_url:
                assert "secure" in answer.headers["set-cookie"].lower()


async def test_guessing_is_limited_by_address(refusing_api: Api) -> None:
    async with client_of(refusing_api.control, sign_in_attempts_max=3) as client:
        before = reached("sign_in_attempts_max")
        for _ in range(3):
            answer = await client.post(SIGN_IN, data={**KEYS, "secret_key": "wrong"})
            assert answer.status_code == 403
        refused = [
            await client.post(SIGN_IN, data=KEYS),
            await client.get(f"{SIGN_IN}?token=x"),
        ]
        assert [each.status_code for each in refused] == [429, 429]
        assert 0 < int(refused[0].headers["retry-after"]) <= 60
        assert reached("sign_in_attempts_max") > before


@pytest.mark.parametrize(
    ("trusted", "forwarded", "limited"),
    [
        ("", ["1.1.1.1", "2.2.2.2"], True),
        ("127.0.0.1", ["1.1.1.1", "2.2.2.2"], False),
        ("127.0.0.0/8, 10.0.0.1", ["9.9.9.9, 1.1.1.1, 10.0.0.1", "8.8.8.8, 1.1.1.1:443"], True),
        ("127.0.0.1", ["[2001:db8::1]:9", "2001:db8::2"], False),
        ("127.0.0.1", ["x", "'); --"], True),
        ("127.0.0.1", ["", ", ,"], True),
        ("10.0.0.0/8", ["1.1.1.1", "2.2.2.2"], True),
    ],
)
async def test_behind_a_proxy_attempts_are_counted_by_the_address_that_it_names(
    refusing_api: Api, trusted: str, forwarded: list[str], limited: bool
) -> None:
    settings = {"sign_in_attempts_max": 1, "trusted_proxies": trusted}
    wrong = {**KEYS, "secret_key": "wrong"}
    async with client_of(refusing_api.control, **settings) as client:
        answers = [
            await client.post(SIGN_IN, data=wrong, headers={"x-forwarded-for": each})
            for each in forwarded
        ]
    assert [each.status_code for each in answers] == [403, 429 if limited else 403]


async def test_a_proxy_that_is_no_address_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="x"):
        ConsoleSettings(trusted_proxies="10.0.0.1, x")


async def test_attempts_that_wait_for_their_body_are_limited_too(refusing_api: Api) -> None:
    arrived = asyncio.Barrier(5)

    async def slow() -> AsyncIterator[bytes]:
        await arrived.wait()
        yield urlencode({**KEYS, "secret_key": "wrong"}).encode()

    async with client_of(refusing_api.control, sign_in_attempts_max=2) as client:
        form = {"content-type": "application/x-www-form-urlencoded"}
        posts = (client.post(SIGN_IN, content=slow(), headers=form) for _ in range(5))
        answers = await asyncio.gather(*posts)
        assert sorted(each.status_code for each in answers) == [403, 403, 429, 429, 429]


async def test_attempts_are_forgotten_after_their_window_and_above_the_limit_of_addresses() -> None:
    clock = [0]
    attempts = Attempts(attempts_max=1, window_s=60, clients_max=2, now_us=lambda: clock[0])
    for address in ("a", "b"):
        attempts.failed(address)
        assert attempts.wait_s(address) == 60
    attempts.failed("c")
    assert attempts.wait_s("a") == 0
    assert attempts.wait_s("b") > 0
    clock[0] = 60 * 10**6
    assert attempts.wait_s("b") == 0


@pytest.mark.parametrize(
    "target",
    ["", "/", "//evil.example", "https://evil.example", "/\\evil.example", "/project/\\x",
     "/project/a\r\nset-cookie: x", "javascript:alert(1)", "/api/public/traces", "/project/ä"],
)  # fmt: skip
async def test_a_sign_in_leads_to_pages_of_this_server_only(target: str) -> None:
    assert local_path(target, "a b") == "/project/a%20b"


async def test_a_sign_in_leads_back_to_a_page() -> None:
    assert local_path("/project/p/traces?q=a%2Fb", "p") == "/project/p/traces?q=a%2Fb"


async def test_a_link_from_another_site_is_followed_once_more(refusing_api: Api) -> None:
    """Browsers send the cookie, which is strict, only from a page of the same site."""
    crossed = {"sec-fetch-site": "cross-site"}
    page = f"/project/{PROJECT}/traces?q=%22x"
    async with browser(refusing_api) as client:
        answer = await client.get(page, headers=crossed)
        assert answer.status_code == 200
        found = re.search(r'content="0; url=([^"]+)"', answer.text)
        assert found
        address = found[1].replace("&amp;", "&")
        assert address == f"{page}&followed=1"
        answer = await client.get(address, headers=crossed)
        assert answer.status_code == 302
        answer = await client.get(SIGN_IN, headers=crossed)
        assert "followed=1" in answer.text
    async with signed_in(refusing_api) as client:
        assert (await client.get(address)).status_code == 200
