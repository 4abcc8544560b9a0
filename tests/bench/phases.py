"""Run the loads of `make bench` on a whole installation, and read the results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.bench.otlp_load import (
    SPANS_PER_TRACE,
    Answers,
    Connection,
    Post,
    Template,
    post_until_accepted,
    trace_id,
)
from tests.fixtures.installation import Server, Usage

POLL_S = 0.025
POLL_SHARE = 0.05
"""What is awaited for long is looked at seldom: the questions themselves cost the server time."""
COUNT_EVERY_S = 2.0
VISIBLE_TIMEOUT_S = 60.0
SAMPLE_EVERY_S = 1.0
FLOOD_SPANS = 200
"""Spans in one export of a flood."""


@dataclass(slots=True)
class Measured:
    """One load: what was accepted, how fast it became visible, what it used."""

    name: str
    answers: Answers
    load_s: float = 0.0
    until_visible_s: float = 0.0
    visible_spans: int = 0
    visible_s: list[float] = field(default_factory=list)
    """Acknowledged → visible of sampled traces."""
    cpu_s: dict[str, float] = field(default_factory=dict)
    rss_bytes: dict[str, int] = field(default_factory=dict)


class RequestNumbers:
    """Numbers no other run used, so that every trace is new."""

    def __init__(self) -> None:
        self._next = time.time_ns() // 1000 << 8

    def take(self) -> int:
        self._next += 1
        return self._next


async def steady(
    server: Server,
    numbers: RequestNumbers,
    *,
    spans_per_s: int,
    seconds: float,
    environment: str = "steady",
    spans: int = 50,
) -> Measured:
    """Send exports of ``spans`` spans at a fixed rate, without waiting for responses."""
    template = Template(spans, environment=environment)
    measured = Measured(f"{spans_per_s:,} spans/s for {seconds:g} s", Answers())
    gap_s = spans / spans_per_s
    connections = Connection(server.url, server.public_key, server.secret_key)
    idle: asyncio.Queue[Post] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()
    samples: set[asyncio.Task[float]] = set()
    async with (
        accounting(server, measured),
        server.client() as client,
        AsyncExitStack() as opened,
    ):
        begun_s = time.perf_counter()
        due_s, sample_due_s = begun_s, begun_s

        async def send(number: int, sampled: bool) -> None:
            post = (
                idle.get_nowait()
                if not idle.empty()
                else await opened.enter_async_context(connections.open())
            )
            body = template.body(number, time.time_ns())
            acknowledged_s = await post_until_accepted(post, body, spans, measured.answers)
            idle.put_nowait(post)
            if sampled:
                samples.add(asyncio.create_task(_until_visible(client, number, acknowledged_s)))

        while due_s < begun_s + seconds:
            sampled = due_s >= sample_due_s
            if sampled:
                sample_due_s += SAMPLE_EVERY_S
            task = asyncio.create_task(send(numbers.take(), sampled))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due_s += gap_s
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        await asyncio.gather(*tasks)
        measured.load_s = time.perf_counter() - begun_s
        measured.visible_s += await asyncio.gather(*samples)
        await count_visible(client, environment, measured, begun_s)
    return measured


async def flood(
    server: Server,
    numbers: RequestNumbers,
    *,
    seconds: float,
    connections: int = 8,
    template: Template | None = None,
) -> Measured:
    """A closed loop on ``connections`` connections: as fast as the server takes it."""
    template = template or Template(FLOOD_SPANS, environment="flood")
    spans = template.spans
    measured = Measured(f"as fast as it goes for {seconds:g} s", Answers())
    async with accounting(server, measured), server.client() as client:
        begun_s = time.perf_counter()
        samples: list[asyncio.Task[float]] = []

        async def worker(sampling: bool) -> float:
            """Wait until the last export of each worker is visible; few others remain to count."""
            connection = Connection(server.url, server.public_key, server.secret_key)
            sample_due_s = begun_s
            async with connection.open() as post:
                while True:
                    number = numbers.take()
                    body = template.body(number, time.time_ns())
                    acknowledged_s = await post_until_accepted(post, body, spans, measured.answers)
                    if acknowledged_s >= begun_s + seconds:
                        measured.load_s = max(measured.load_s, acknowledged_s - begun_s)
                        return await _until_visible(client, number, acknowledged_s)
                    if sampling and acknowledged_s >= sample_due_s:
                        sample_due_s = acknowledged_s + 4 * SAMPLE_EVERY_S
                        sample = _until_visible(client, number, acknowledged_s)
                        samples.append(asyncio.create_task(sample))

        last = await asyncio.gather(*(worker(index == 0) for index in range(connections)))
        measured.visible_s += [*await asyncio.gather(*samples), *last]
        await count_visible(client, template.environment, measured, begun_s)
    return measured


async def _until_visible(client: httpx.AsyncClient, number: int, acknowledged_s: float) -> float:
    """Poll the first trace of request ``number`` until all its spans are visible.

    Returns the seconds since the acknowledgement.
    """
    deadline_s = acknowledged_s + VISIBLE_TIMEOUT_S
    path = f"/v1/traces/{trace_id(number, 0)}/tree"
    while time.perf_counter() < deadline_s:
        response = await client.get(path)
        if response.status_code == 200 and response.text.count('"children"') >= SPANS_PER_TRACE:
            break
        await asyncio.sleep(max(POLL_S, POLL_SHARE * (time.perf_counter() - acknowledged_s)))
    return time.perf_counter() - acknowledged_s


async def count_visible(
    client: httpx.AsyncClient, environment: str, measured: Measured, begun_s: float
) -> None:
    """Wait until all accepted observations are visible, or until no more appear."""
    params: dict[str, str | int] = {"environment": environment, "limit": 1}
    moved_s = time.perf_counter()
    while True:
        response = await client.get("/api/public/observations", params=params)
        response.raise_for_status()
        visible = response.json()["meta"]["totalItems"]
        if visible > measured.visible_spans:
            measured.visible_spans, moved_s = visible, time.perf_counter()
        if visible >= measured.answers.accepted_spans:
            break
        if time.perf_counter() - moved_s > VISIBLE_TIMEOUT_S:
            break
        await asyncio.sleep(COUNT_EVERY_S)
    measured.until_visible_s = time.perf_counter() - begun_s


@asynccontextmanager
async def accounting(server: Server, measured: Measured) -> AsyncIterator[None]:
    """CPU seconds and resident bytes of each process over the block."""
    before: dict[str, Usage] = server.usage()
    yield
    after = server.usage()
    for role, usage in after.items():
        since = before[role].cpu_s if role in before else 0.0
        measured.cpu_s[role] = usage.cpu_s - since
        measured.rss_bytes[role] = usage.rss_bytes
