"""The stream of events: whose events, which of them, in what order, and what was missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import AlertRow, TraceRow, WindowRow
from producers.control.kinds.api_key import ApiKey
from query_api.errors import BadRequestError, UnavailableError
from query_api.event_stream.events import Event, alert_event, trace_event, window_event
from query_api.event_stream.hub import EventHub, id_of, positions_of
from query_api.event_stream.kafka_tail import events_in
from query_api.event_stream.subscription import Subscription
from query_api.settings import QuerySettings
from tests.query_api.console.browser import signed_in
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api

NOON_S = NOON_US // 1_000_000
ENDS = {"w0": 100, "t0": 7, "t1": 9, "a0": 3}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class TailInMemory:
    """Begins at the ends of topics that the test fills."""

    async def run(self, hub: EventHub) -> None:
        hub.begin(ENDS)
        await asyncio.Event().wait()


class Topics:
    """Publishes records to a hub as the tail does."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._ends = dict(ENDS)

    def add(self, source: str, *rows: msgspec.Struct) -> None:
        converted = {"w": window_event, "t": trace_event, "a": alert_event}[source[0]]
        value = b"\n".join(map(msgspec.json.encode, rows))
        offset = self._ends[source]
        record = ConsumerRecord(
            source, 0, offset, NOON_US // 1_000, 0, None, value, 0, 0, len(value), ()
        )
        self._ends[source] += 1
        self._hub.publish(source, offset, events_in(record, converted, self._hub.wants))


def window(model: str = "m-1", **fields: Any) -> WindowRow:
    given = {
        "project_id": PROJECT, "environment": "production", "model": model, "name": "call",
        "type": "GENERATION", "row_version": 1, "latency_state_hex": "", **fields,
    }  # fmt: skip
    return WindowRow(window_s=NOON_S, **given)


def trace(trace_id: str, **fields: Any) -> TraceRow:
    return TraceRow(
        project_id=fields.pop("project_id", PROJECT), id=trace_id, start_us=NOON_US, row_version=1,
        **fields,
    )  # fmt: skip


def alert(**fields: Any) -> AlertRow:
    given = {
        "event": "of.a_later_version",
        "rule_kind": "alert_rule",
        "rule_id": "r",
        "state": "firing",
        "severity": "warning",
        "payload": "{}",
    }
    return AlertRow(
        project_id=PROJECT, id="alert-1", name="Slow", created_us=NOON_US, row_version=1,
        **given, **fields,
    )  # fmt: skip


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[tuple[EventHub, Topics, Clock]]:
    clock = Clock()
    hub = EventHub(QuerySettings(**settings), TailInMemory(), clock)
    try:
        yield hub, Topics(hub), clock
    finally:
        await hub.close()


async def subscribed(hub: EventHub, project: str = PROJECT, last_id: str = "") -> Subscription:
    return await hub.subscribe(project, ("window", "trace", "alert"), {}, last_id)


async def received(subscription: Subscription) -> list[tuple[str, str, Any]]:
    """Kind, id and data of the events that are there."""
    return parsed((await subscription.next(0.01)).decode())


def parsed(text: str) -> list[tuple[str, str, Any]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


async def test_readers_receive_the_events_of_their_project_only() -> None:
    async with opened() as (hub, topics, _):
        own, other = await subscribed(hub), await subscribed(hub, OTHER)
        usage = {"input": 5, "output": 2}
        topics.add("w0", window(observation_count=3, error_count=1, usage=usage,
                                total_cost_pico=25 * 10**10))  # fmt: skip
        topics.add("t1", trace("t-1", user_id="ada", name="chat", input="secret text"))
        topics.add("t0", trace("t-2", project_id=OTHER))
        topics.add("a0", alert())
        events = await received(own)
        assert [kind for kind, _, _ in events] == ["window", "trace", "alert"]
        (_, _, first), (_, _, second), (_, _, third) = events
        assert first["window_start"] == "2026-11-21T12:00:00.000Z"
        assert first["window_end"] == "2026-11-21T12:00:10.000Z"
        assert (first["count"], first["errors"], first["cost_usd"]) == (3, 1, "0.25")
        assert first["tokens"] == usage
        assert (second["id"], second["user_id"], second["deleted"]) == ("t-1", "ada", False)
        assert "secret text" not in json.dumps(events)
        assert third["state"] == "firing"
        assert [data["id"] for _, _, data in await received(other)] == ["t-2"]


async def test_filters_choose_among_windows_and_traces_but_not_alerts() -> None:
    async with opened() as (hub, topics, _):
        kinds = ("window", "trace", "alert")
        of_model = await hub.subscribe(PROJECT, kinds, {"model": ["m-2", "m-3"]})
        of_user = await hub.subscribe(PROJECT, kinds, {"user_id": ["ada"]})
        only_windows = await hub.subscribe(PROJECT, ("window",), {})
        topics.add("w0", window("m-1"), window("m-2"))
        topics.add("t0", trace("t-1", user_id="ada"), trace("t-2"))
        topics.add("a0", alert())
        assert [kind for kind, _, _ in await received(of_model)] == ["window", "alert"]
        found = await received(of_user)
        assert [data["id"] for _, _, data in found] == ["t-1", "alert-1"]
        assert [kind for kind, _, _ in await received(only_windows)] == ["window", "window"]


async def test_a_reader_who_returns_continues_after_the_last_event() -> None:
    async with opened() as (hub, topics, _):
        reader = await subscribed(hub)
        for number in range(4):
            topics.add(f"t{number % 2}", trace(f"t-{number}"))
        events = await received(reader)
        hub.unsubscribe(PROJECT, reader)
        topics.add("t0", trace("t-4"))
        again = await subscribed(hub, last_id=events[1][1])
        assert [data["id"] for _, _, data in await received(again)] == ["t-2", "t-3", "t-4"]


async def test_a_reader_who_returns_in_the_middle_of_a_record_receives_all_of_it() -> None:
    async with opened() as (hub, topics, _):
        reader = await subscribed(hub)
        topics.add("t0", trace("t-1"), trace("t-2"))
        (_, first, _), (_, second, _) = await received(reader)
        for last_id, expected in ((first, ["t-1", "t-2"]), (second, [])):
            again = await subscribed(hub, last_id=last_id)
            assert [data["id"] for _, _, data in await received(again)] == expected


async def test_a_reader_who_returns_too_late_is_told_that_events_are_missing() -> None:
    async with opened(stream_kept_events_max=2, stream_kept_s=60) as (hub, topics, clock):
        reader = await subscribed(hub)
        for number in range(4):
            topics.add("t0", trace(f"t-{number}"))
        first_id = (await received(reader))[0][1]
        again = await subscribed(hub, last_id=first_id)
        missed, *rest = await received(again)
        assert missed[0] == "missed"
        assert missed[2] == {"reason": "unknown", "events": None}
        assert [data["id"] for _, _, data in rest] == ["t-2", "t-3"]
        hub.unsubscribe(PROJECT, reader)
        hub.unsubscribe(PROJECT, again)
        assert hub.is_wanted
        clock.now_s = 61
        assert not hub.is_wanted
        assert not hub.wants(PROJECT)


async def test_a_slow_reader_misses_the_oldest_events_and_is_told_how_many() -> None:
    async with opened(stream_queue_events_max=2) as (hub, topics, _):
        reader = await subscribed(hub)
        for number in range(5):
            topics.add("t0", trace(f"t-{number}"))
        missed, *rest = await received(reader)
        assert missed[2] == {"reason": "slow", "events": 3}
        assert [data["id"] for _, _, data in rest] == ["t-3", "t-4"]


async def test_all_readers_are_told_if_the_topics_lost_records() -> None:
    async with opened() as (hub, topics, _):
        reader = await subscribed(hub)
        hub.begin(ENDS)
        topics.add("t0", trace("t-1"))
        assert [kind for kind, _, _ in await received(reader)] == ["missed", "trace"]


async def test_streams_end_if_the_topics_cannot_be_read_any_more() -> None:
    class Failing:
        async def run(self, hub: EventHub) -> None:
            hub.begin(ENDS)
            await failed.wait()

    failed = asyncio.Event()
    hub = EventHub(QuerySettings(), Failing(), Clock())
    reader = await subscribed(hub)
    failed.set()
    async with asyncio.timeout(60):
        while not reader.end:
            assert not await reader.next(1)
    failed.clear()
    again = await subscribed(hub)
    assert not again.end
    await hub.close()


async def test_a_failure_that_nothing_expects_ends_streams_and_does_not_disturb_the_stop() -> None:
    class Broken:
        async def run(self, hub: EventHub) -> None:
            hub.begin(ENDS)
            await asyncio.sleep(0)
            raise RuntimeError("of the library")

    hub = EventHub(QuerySettings(), Broken(), Clock())
    reader = await subscribed(hub)
    async with asyncio.timeout(60):
        while not reader.end:
            assert not await reader.next(1)
    await hub.close()


def test_ids_fit_whatever_the_number_of_partitions() -> None:
    sources = [f"{prefix}{number}" for prefix in "wt" for number in range(256)]
    positions = dict.fromkeys([*sources, "a0"], 2**63 - 1)
    assert positions_of(id_of(positions)) == positions


@pytest.mark.parametrize(
    ("setting", "project"),
    [("stream_connections_max", OTHER), ("stream_connections_per_project_max", PROJECT)],
)
async def test_the_number_of_readers_is_limited(setting: str, project: str) -> None:
    async with opened(**{setting: 1}) as (hub, _, _):
        reader = await subscribed(hub)
        with pytest.raises(UnavailableError, match=setting):
            await subscribed(hub, project)
        hub.unsubscribe(PROJECT, reader)
        await subscribed(hub, project)


@pytest.mark.parametrize("last_id", ["x", "w0", "w0.-1", "w0.1_", "w0.1 a0.2", "w0." + "9" * 20])
async def test_what_is_not_an_id_of_an_event_is_refused(last_id: str) -> None:
    async with opened() as (hub, _, _):
        with pytest.raises(BadRequestError, match="Last-Event-ID"):
            await subscribed(hub, last_id=last_id)


async def test_invalid_rows_are_left_out() -> None:
    async with opened() as (hub, _, _):
        reader = await subscribed(hub)
        value = b'{"project_id":"acme"}\nnonsense\n' + msgspec.json.encode(trace("t-1"))
        record = ConsumerRecord("t", 0, 7, 0, 0, None, value, 0, 0, len(value), ())
        hub.publish("t0", 7, events_in(record, trace_event, hub.wants))
        assert [data["id"] for _, _, data in await received(reader)] == ["t-1"]


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
        path = "/v1/stream?events=window,trace&model=m-1"
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
    [("events=windows", "events"), ("events=", "events"), ("colour=red", "colour")],
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


def test_events_have_no_line_breaks() -> None:
    line = msgspec.json.encode(trace("t\n\r\u2028", name="a\nb"))
    event: Event = trace_event(line)
    assert b"\n" not in event.data
    assert b"\r" not in event.data
