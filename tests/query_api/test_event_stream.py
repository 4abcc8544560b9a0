"""The hub of events: whose events, which of them, in what order, and what was missed."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from query_api.errors import BadRequestError, UnavailableError
from query_api.event_stream.events import Event, trace_event
from query_api.event_stream.hub import EventHub, id_of, positions_of
from query_api.event_stream.kafka_tail import events_in
from query_api.settings import QuerySettings
from tests.query_api.event_stream_for_tests import (
    ENDS,
    Clock,
    alert,
    opened,
    received,
    subscribed,
    trace,
    window,
)
from tests.query_api.harness import OTHER, PROJECT


async def test_readers_receive_the_events_of_their_project_only() -> None:
    async with opened() as (hub, topics, _):
        own, other = await subscribed(hub), await subscribed(hub, OTHER)
        usage = {"input": 5, "output": 2}
        topics.add("w0", window(observation_count=3, error_count=1, usage=usage,
                                total_cost_pico=25 * 10**10, unpriced_count=2))  # fmt: skip
        topics.add("t1", trace("t-1", user_id="ada", name="chat", input="secret text"))
        topics.add("t0", trace("t-2", project_id=OTHER))
        topics.add("a0", alert())
        events = await received(own)
        assert [kind for kind, _, _ in events] == ["window", "trace", "alert"]
        (_, _, first), (_, _, second), (_, _, third) = events
        assert first["window_start"] == "2026-11-21T12:00:00.000Z"
        assert first["window_end"] == "2026-11-21T12:00:10.000Z"
        assert (first["count"], first["errors"], first["cost_usd"]) == (3, 1, "0.25")
        assert (first["tokens"], first["unpriced"]) == (usage, 2)
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


def test_events_have_no_line_breaks() -> None:
    line = msgspec.json.encode(trace("t\n\r\u2028", name="a\nb"))
    event: Event = trace_event(line)
    assert b"\n" not in event.data
    assert b"\r" not in event.data
