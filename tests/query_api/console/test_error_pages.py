"""Browsers see errors as pages of the console, and programs get JSON."""

from __future__ import annotations

import httpx
import pytest

from query_api.console.page import View
from query_api.context import AppContext
from query_api.errors import UnavailableError
from tests.query_api.console.browser import HOME, browser, signed_in, text_of
from tests.query_api.harness import OTHER, PROJECT, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOWHERE = (f"{HOME}/nowhere", "/nowhere", "/console/nowhere", "/project")
FRAME = 'class="shell"'


def is_page(answer: httpx.Response) -> bool:
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    return answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", NOWHERE)
async def test_an_unknown_address_is_a_page_in_the_frame_of_the_console(
    refusing_api: Api, path: str
) -> None:
    async with signed_in(refusing_api) as client:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert is_page(answer)
        assert FRAME in answer.text
        assert f'href="{HOME}/traces"' in answer.text
        part = await client.get(path, headers={"hx-request": "true"})
        assert part.text.startswith('<p class="fault"')
        program = await client.get(path, headers={"accept": "application/json"})
        assert program.json()["error"]["code"] == "not_found"
        chinese = await client.get(path, headers={"accept-language": "zh-CN"})
        assert "此处没有内容" in chinese.text


async def test_without_a_session_the_page_names_no_project(refusing_api: Api) -> None:
    async with browser(refusing_api) as client:
        for path in ("/nowhere", f"/project/{OTHER}/nowhere", "/%3Cscript%3E"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert is_page(answer)
            assert FRAME not in answer.text
            assert OTHER.title() not in text_of(answer.text)
            assert "<script>" not in answer.text


async def test_paths_of_the_api_answer_browsers_with_json(refusing_api: Api) -> None:
    async with signed_in(refusing_api) as client:
        for path in ("/v1/nowhere", "/v1", "/api/public/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/json"


async def test_a_form_that_is_opened_is_405_with_the_methods(refusing_api: Api) -> None:
    async with signed_in(refusing_api) as client:
        answer = await client.get(f"{HOME}/sign-out")
        assert answer.status_code == 405
        assert is_page(answer)
        assert answer.headers["allow"] == "POST"
        assert "A form leads here" in answer.text
        refused = await client.post(f"{HOME}/sign-out", data={"csrf": "x"})
        assert refused.status_code == 403
        assert is_page(refused)
        assert "load the page again" in refused.text


async def test_failures_and_a_store_that_does_not_answer_are_pages(
    refusing_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object, *__: object, **___: object) -> None:
        raise RuntimeError("a secret of the server")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the server")

    async def unavailable(_: object, *__: object, **___: object) -> None:
        raise UnavailableError("the store does not answer", retry_after_s=7)

    async with signed_in(refusing_api) as client:
        monkeypatch.setattr(View, "render", broken)
        # The page of the error cannot be rendered either.
        answer = await client.get(f"{HOME}/traces")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"
        monkeypatch.undo()
        rows = type(context_of(refusing_api).reader)
        monkeypatch.setattr(rows, "rows", fail)
        answer = await client.get(f"{HOME}/operations")
        assert answer.status_code == 500
        assert FRAME in answer.text
        assert "Something went wrong" in text_of(answer.text)
        assert "secret" not in answer.text
        monkeypatch.setattr(rows, "rows", unavailable)
        answer = await client.get(f"{HOME}/operations")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "7"
        assert "Load the page again in a few seconds" in answer.text
        assert f"/project/{PROJECT}" in answer.text


def context_of(api: Api) -> AppContext:
    app = api.client._transport.app  # type: ignore[attr-defined]
    context: AppContext = app.state.context
    return context
