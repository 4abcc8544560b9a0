"""``/v1/stream`` and the stream of the console: how they begin and end, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from producers.control.kinds.api_key import ApiKey
from query_api.errors import UnavailableError
from query_api.event_stream.hub import EventHub
from tests.query_api.console.browser import signed_in
from tests.query_api.event_stream_for_tests import (
    opened,
    parsed,
    received,
    subscribed,
    window,
)
from tests.query_api.harness import OTHER, PROJECT, Api


async def streamed(api: Api, hub: EventHub, client: httpx.AsyncClient, path: str) -> asyncio.Task:
    """Request a stream, and wait until it has begun."""
    context: Any = client._transport.app.state.context  # type: ignore[attr-defined]
    object.__setattr__(context, "events", hub)
    task = asyncio.create_task(client.get(path))
    async with asyncio.timeout(60):
        while not hub.wants(PROJECT) or not hub.positions:
            await asyncio.sleep(0)
            assert not task.done(), task.result().text
    return task


async def test_the_route_sends_events_until_the_process_stops(refusing_api: Api) -> None:
    async with opened() as (hub, topics, _):
        path = "/v1/stream?events=window&events=trace,window&model=m-1"
        task = await streamed(refusing_api, hub, refusing_api.client, path)
        topics.add("w0", window("m-1"), window("m-2"))
        await hub.close()
        answer = await task
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.startswith("retry: 2000\n")
        events = parsed(answer.text)
        assert [(kind, data.get("model")) for kind, _, data in events] == [
            ("window", "m-1"), ("end", None),
        ]  # fmt: skip
        assert events[-1][2] == {"reason": "stopping"}


async def test_a_stream_continues_after_the_id_in_the_query_string(refusing_api: Api) -> None:
    async with opened(stream_connections_max=2) as (hub, topics, _):
        reader = await subscribed(hub)
        for model in ("m-1", "m-2", "m-3"):
            topics.add("w0", window(model))
        (_, first, _), *_ = await received(reader)
        task = await streamed(
            refusing_api, hub, refusing_api.client, f"/v1/stream?last_event_id={first}"
        )
        async with asyncio.timeout(60):
            while await is_free(hub):
                assert not task.done(), task.result().text
                await asyncio.sleep(0)
        wrong = await refusing_api.client.get("/v1/stream?last_event_id=none")
        assert wrong.json()["error"]["field"] == "last_event_id"
        await hub.close()
        events = parsed((await task).text)
        assert [data.get("model") for _, _, data in events] == ["m-2", "m-3", None]


async def is_free(hub: EventHub) -> bool:
    """Return whether another reader has a place."""
    try:
        hub.unsubscribe(PROJECT, await subscribed(hub))
    except UnavailableError:
        return False
    return True


async def test_a_client_who_left_before_the_stream_began_takes_no_place(refusing_api: Api) -> None:
    client = refusing_api.client
    application: Any = client._transport.app  # type: ignore[attr-defined]
    request = next(client.auth.auth_flow(client.build_request("GET", "/v1/stream")))
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/v1/stream", "raw_path": b"/v1/stream",
        "query_string": b"", "headers": [(k.lower(), v) for k, v in request.headers.raw],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        # The client does not read the response before on the same connection.
        await asyncio.Event().wait()

    async with opened(stream_connections_max=1) as (hub, _, _):
        object.__setattr__(application.state.context, "events", hub)
        await application(scope, receive, send)
        await subscribed(hub)


@asynccontextmanager
async def checking_often(client: httpx.AsyncClient) -> AsyncIterator[None]:
    context: Any = client._transport.app.state.context  # type: ignore[attr-defined]
    before = context.settings
    often = before.model_copy(update={"stream_check_s": 0.01})
    object.__setattr__(context, "settings", often)
    yield
    object.__setattr__(context, "settings", before)


async def revoked(api: Api, task: asyncio.Task) -> httpx.Response:
    """The response of a stream whose key is revoked, and then valid again."""
    (held,) = api.control.view.in_project(ApiKey, PROJECT).values()
    await api.control.delete("api_key", held.id)
    try:
        async with asyncio.timeout(60):
            answer: httpx.Response = await task
    finally:
        api.control.keep(held)
    return answer


async def test_a_stream_ends_when_its_key_is_revoked(refusing_api: Api) -> None:
    client = refusing_api.client
    async with opened() as (hub, _, _), checking_often(client):
        task = await streamed(refusing_api, hub, client, "/v1/stream")
        answer = await revoked(refusing_api, task)
        assert parsed(answer.text) == [("end", "", {"reason": "unauthorized"})]


async def test_the_console_streams_with_its_session_until_it_ends(refusing_api: Api) -> None:
    async with opened() as (hub, _, _), signed_in(refusing_api) as browser:
        path = f"/console/project/{PROJECT}/stream"
        assert (await browser.get(f"{path}?filter=tags:x")).status_code == 400
        async with checking_often(browser):
            task = await streamed(refusing_api, hub, browser, f"{path}?filter=model:m-2")
            answer = await revoked(refusing_api, task)
        assert answer.headers["content-security-policy"]
        assert parsed(answer.text)[-1][2] == {"reason": "unauthorized"}


async def test_a_session_of_another_project_does_not_prolong_a_stream(refusing_api: Api) -> None:
    async with opened() as (hub, _, _), signed_in(refusing_api, OTHER) as browser:
        keys = {"public_key": f"pk-{PROJECT}", "secret_key": f"sk-{PROJECT}"}
        assert (await browser.post("/console/sign-in", data=keys)).status_code == 303
        async with checking_often(browser):
            path = f"/console/project/{PROJECT}/stream"
            task = await streamed(refusing_api, hub, browser, path)
            answer = await revoked(refusing_api, task)
        assert parsed(answer.text)[-1][2] == {"reason": "unauthorized"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("events=windows", "events"),
        ("events=", "events"),
        ("colour=red", "colour"),
    ],
)
async def test_wrong_parameters_are_refused(refusing_api: Api, query: str, field: str) -> None:
    answer = await refusing_api.client.get(f"/v1/stream?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


async def test_a_process_that_does_not_follow_events_says_so(refusing_api: Api) -> None:
    context: Any = refusing_api.client._transport.app.state.context  # type: ignore[attr-defined]
    object.__setattr__(context, "events", None)
    answer = await refusing_api.client.get("/v1/stream")
    assert answer.status_code == 503
