"""No body holds the event loop, and no project's flood of them delays another's."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.gateway.app import Gateway
from producers.gateway.http.fair_scheduler import FairScheduler
from producers.gateway.publisher import EventPublisher
from producers.settings import GatewaySettings, KafkaSettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, Log, times_reached
from tests.producers.gateway.http.test_decompression import attribute, field, span
from tests.producers.gateway.test_refused_items import event, export
from tracemill.contract import Observation

TRACES = "/v1/traces"
INGESTION = "/api/public/ingestion"
HELD_MAX_S = 1.5
"""Generous: it is 0.1 s on a quiet machine, and the parts of these bodies were seconds."""
WITHIN_S = 60
IDS = field(0x0A, b"\1" * 16) + field(0x12, b"\1" * 8)
MIB = 2**20


def protobuf(content: bytes) -> tuple[str, bytes, str]:
    return TRACES, content, "application/x-protobuf"


COSTLY = {
    "60 MiB of one byte": protobuf(b"a" * 60 * MIB),
    "millions of unknown fields": protobuf(b"\x78\x01" * 20 * MIB),
    "an array of empty values": protobuf(span(attribute(field(0x2A, b"\x0a\x00" * 240_000)))),
    "hundreds of thousands of attributes": protobuf(
        field(0x0A, field(0x12, field(0x12, IDS + b"\x4a\x00" * 1_900) * 400))
    ),
    "halves of surrogate pairs": (
        INGESTION,
        b'{"batch":[' + event("e", b'{"id":"' + b"\\ud83d" * 600_000 + b'"}') + b"]}",
        "application/json",
    ),
    "hundreds of thousands of metadata keys": (
        INGESTION,
        b'{"batch":['
        + event("e", json.dumps({"metadata": {f"k{n}": 1 for n in range(300_000)}}).encode())
        + b"]}",
        "application/json",
    ),
    "a span of many values": (
        TRACES,
        export(b'{"attributes":[' + b"[]," * 330_000 + b"[]]}"),
        "application/json",
    ),
}


async def longest_hold_s(until: asyncio.Task[httpx.Response]) -> float:
    """How long the event loop did nothing else, at most, until the task is done."""
    longest_s = 0.0
    while not until.done():
        began_s = time.perf_counter()
        await asyncio.sleep(0.002)
        longest_s = max(longest_s, time.perf_counter() - began_s)
    return longest_s


@pytest.mark.parametrize(("path", "body", "content_type"), COSTLY.values(), ids=COSTLY.keys())
async def test_no_body_holds_the_event_loop_for_long(
    client: httpx.AsyncClient, path: str, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
    content = gzip.compress(body, 1)
    asking = asyncio.create_task(client.post(path, content=content, headers=headers))

    held_s = await longest_hold_s(asking)

    assert asking.result().status_code < 500
    assert held_s < HELD_MAX_S


@pytest.fixture
async def other(gateway: Gateway, control: ControlLog) -> AsyncIterator[httpx.AsyncClient]:
    """The client of another project."""
    if "other" not in control.view[Project]:
        await control.put(Project(id="other", name="Other", created_us=0))
        key = new_api_key(
            key_id="other",
            project_id="other",
            public_key="pk-other",
            secret="sk-other",
            created_us=0,
        )
        await control.put(key)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(gateway),
        base_url="http://gateway",
        auth=("pk-other", "sk-other"),
    ) as http_client:
        yield http_client


@pytest.mark.parametrize("values", [2_000, 60_000], ids=["on the loop", "in threads"])
async def test_a_flood_of_costly_bodies_delays_its_own_project(
    client: httpx.AsyncClient, other: httpx.AsyncClient, values: int
) -> None:
    body = gzip.compress(span(attribute(field(0x2A, b"\x0a\x00" * values)) * 4), 1)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    flood = [
        asyncio.create_task(client.post(TRACES, content=body, headers=headers)) for _ in range(20)
    ]
    await asyncio.sleep(0)

    async with asyncio.timeout(WITHIN_S):
        answer = await other.post(INGESTION, json={"batch": []})
    waiting = sum(not task.done() for task in flood)
    await asyncio.gather(*flood)

    assert answer.status_code == 207
    assert waiting > 5


async def test_projects_in_debt_take_turns_and_others_do_not_wait() -> None:
    fair = FairScheduler()
    order: list[str] = []

    async def work(project_id: str) -> None:
        await fair.begin(project_id)
        order.append(project_id)
        fair.spent(project_id, 10.0)

    for project_id in "ab":
        fair.spent(project_id, 10.0)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(work("a"))
        tasks.create_task(work("b"))
        tasks.create_task(work("c"))

    assert order == ["c", "a", "b", "a", "a", "a", "a"]


async def test_projects_take_turns_within_a_partition(kafka: KafkaSettings, log: Log) -> None:
    settings = GatewaySettings(delivery_timeout_s=DELIVERY_TIMEOUT_S, record_target_bytes=10_000)
    publisher = EventPublisher(kafka, settings)
    await publisher.start()
    done: list[str] = []

    async def publish(project_id: str) -> None:
        batch = publisher.batch(project_id)
        batch.add(Observation(project_id="p", trace_id="t", id="o", ts_us=1, input="x" * 9_000))
        await publisher.publish(batch)
        done.append(project_id)

    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(publish("flood") for _ in range(50)), publish("other"))
    finally:
        await publisher.stop()

    assert done.index("other") < 5
    assert len(await log.events()) == 51


async def test_lines_gather_while_requests_wait_to_be_decoded(
    kafka: KafkaSettings, log: Log
) -> None:
    no_backlog = asyncio.Event()
    settings = GatewaySettings(delivery_timeout_s=WITHIN_S, gather_max_ms=1_000)
    publisher = EventPublisher(kafka, settings, no_backlog)
    await publisher.start()

    async def publish(number: int) -> None:
        batch = publisher.batch("p")
        batch.add(Observation(project_id="p", trace_id="t", id=f"o{number}", ts_us=1))
        await publisher.publish(batch)

    try:
        async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(publish(number))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            no_backlog.set()
    finally:
        await publisher.stop()

    records = await log.records(kafka.topics.events, kafka.event_partitions)
    assert [record.count(b"\n") + 1 for values in records for record in values] == [10]


async def test_lines_wait_for_requests_no_longer_than_allowed(kafka: KafkaSettings) -> None:
    settings = GatewaySettings(delivery_timeout_s=DELIVERY_TIMEOUT_S, gather_max_ms=20)
    publisher = EventPublisher(kafka, settings, asyncio.Event())
    await publisher.start()
    before = times_reached("gather_max_ms")
    try:
        batch = publisher.batch("p")
        batch.add(Observation(project_id="p", trace_id="t", id="o", ts_us=1))
        async with asyncio.timeout(WITHIN_S):
            await publisher.publish(batch)
    finally:
        await publisher.stop()

    assert times_reached("gather_max_ms") == before + 1


async def test_the_lines_of_a_flood_go_out_once_its_last_request_had_its_turn() -> None:
    fair = FairScheduler()
    fair.spent("a", 10.0)
    assert fair.no_backlog.is_set()

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(fair.begin("a")) for _ in range(3)]
        await asyncio.sleep(0)
        assert not fair.no_backlog.is_set()
        await fair.no_backlog.wait()
        assert all(task.done() for task in begun)


class TestPending:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(pending_max_bytes=100_000, delivery_timeout_s=DELIVERY_TIMEOUT_S)

    async def test_a_flood_leaves_room_for_what_others_have_pending(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient, log: Log
    ) -> None:
        body = b'{"batch":[' + event("e", b'{"id":"t","input":"' + b"x" * 20_000 + b'"}') + b"]}"
        flood = [client.post(INGESTION, content=body) for _ in range(20)]
        answers = await asyncio.gather(*flood, *(other.post(INGESTION, content=body),))

        assert {answer.status_code for answer in answers[:-1]} == {207, 503}
        assert answers[-1].status_code == 207


class TestSlowBodies:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            large_bodies_max=2,
            large_bodies_of_project_max=2,
            turn_timeout_s=WITHIN_S,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
        )

    async def test_bodies_that_are_sent_slowly_give_way_to_one_that_waits(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient
    ) -> None:
        begun = asyncio.Semaphore(0)

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"batch":'
            begun.release()
            await asyncio.Event().wait()

        async def whole() -> AsyncIterator[bytes]:
            yield b'{"batch":[]}'

        before = times_reached("body_rate_min_bytes_per_s")
        held = [asyncio.create_task(client.post(INGESTION, content=slow())) for _ in range(2)]
        for _ in held:
            await begun.acquire()
        async with asyncio.timeout(WITHIN_S):
            answer = await other.post(INGESTION, content=whole())
            done, pending = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

        assert answer.status_code == 207
        assert [task.result().status_code for task in done] == [503]
        assert times_reached("body_rate_min_bytes_per_s") == before + 1
