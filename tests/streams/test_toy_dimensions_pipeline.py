# ruff: noqa: PLC0415  # imports follow the registration of the dimensions
"""Dimensions that are defined in a test, from Kafka through the worker and the sink to the API.

The worker keeps so few observations that traces are read back from the store when their release
changes. ``python -m tests.streams.test_toy_dimensions_pipeline`` is the process that registers the
dimensions.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from random import Random

from producers.dimensions.registry import REGISTRY
from tests.fixtures.daytime import daytime_zone
from tests.streams.test_toy_dimensions import RELEASE, ROOT, TIER, add_columns

MINUTE_US = 60_000_000
SHOWN_WITHIN_S = 90.0
TRACES = 12
COST_PICO = 1_000_000
RESIDENT_MAX = "6"


def test_windows_and_budgets_of_new_dimensions_are_exact_whatever_leaves_memory(
    kafka_broker: str, topic_prefix: str, clickhouse_url: str
) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.streams.test_toy_dimensions_pipeline"],
        cwd=ROOT,
        env=os.environ
        | {
            "TRACEMILL_BROKER": kafka_broker,
            "TRACEMILL_TOPIC_PREFIX": topic_prefix,
            "TRACEMILL_CLICKHOUSE_URL": clickhouse_url,
            "TRACEMILL_CLICKHOUSE_DATABASE": f"toy_{topic_prefix.replace('-', '_')}",
            "TRACEMILL_EVENT_PARTITIONS": "1",
            "TRACEMILL_PROJECT_PARTITIONS": "1",
            "TRACEMILL_STREAMS_RESIDENT_OBSERVATIONS_MAX": RESIDENT_MAX,
            "TRACEMILL_STREAMS_CHUNK_RECORDS_MAX": "2",
        },
        capture_output=True,
        text=True,
        timeout=3 * SHOWN_WITHIN_S,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3_000:]
    assert child.stdout.splitlines()[-1] == "all of it holds"


def events_of(chance: Random, start_us: int) -> tuple[list, list, Counter[tuple[str, str]]]:
    """Generations of traces, later changes of their releases, and what windows must then count."""
    from tracemill.contract import Observation, TraceAttributes, TraceUpdate

    observations, changes, tiers = [], [], []
    release_of = {}
    for number in range(5 * TRACES):
        trace = f"t{number % TRACES}"
        release_of[trace] = f"s{number % 4}"
        tier = chance.choice(["flex", None])
        tiers.append((trace, tier or "standard"))
        observations.append(
            Observation(
                project_id="acme", trace_id=trace, id=f"o{number}", ts_us=start_us + number,
                start_us=start_us + number, end_us=start_us + number + 1_000, type="GENERATION",
                name="answer", service_name=tier, cost={"input": COST_PICO},
                trace=TraceAttributes(release=release_of[trace], user_id="u"),
            )
        )  # fmt: skip
    for number in range(2 * TRACES):
        trace, release = f"t{chance.randrange(TRACES)}", f"s{chance.randrange(6)}"
        release_of[trace] = release
        changes.append(
            TraceUpdate(
                project_id="acme", trace_id=trace, ts_us=start_us + 1_000_000 + number,
                trace=TraceAttributes(release=release),
            )
        )  # fmt: skip
    expected = Counter((release_of[trace], tier) for trace, tier in tiers)
    chance.shuffle(observations)
    chance.shuffle(changes)
    return observations, [*changes, *chance.sample(observations, 10)], expected


async def check() -> None:
    from contextlib import AsyncExitStack

    from clickhouse.all_topics import ensure_topics
    from clickhouse.migrate import migrate
    from clickhouse.settings import StoreSettings, TieringSettings
    from clickhouse.store import Store
    from producers.control.kinds.budget import Budget
    from producers.settings import KafkaSettings
    from streams.observations import metrics
    from tests.fixtures.control_log import following
    from tests.fixtures.sink import sinking
    from tests.query_api.harness import make_api

    kafka, store = KafkaSettings(), Store(StoreSettings())
    start_us = (time.time_ns() // 1_000 // MINUTE_US - 2) * MINUTE_US
    observations, late, expected = events_of(Random(11), start_us)
    scope, limit = max(expected.items(), key=lambda each: each[1])
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await migrate(store, TieringSettings(hot_days=7))
        await add_columns(store)
        await ensure_topics(kafka)
        control = await stack.enter_async_context(following(kafka))
        await control.put(
            Budget(
                id="b", project_id="acme", name="n", period="day", time_zone=daytime_zone(),
                scope={"release": scope[0], "service": scope[1]},
                limit_pico=limit * COST_PICO, thresholds=("1",), created_us=start_us,
            )
        )  # fmt: skip
        await stack.enter_async_context(sinking(kafka, store))
        await stack.enter_async_context(working(kafka, store, control))
        api, clients = make_api(store)
        for client in clients:
            stack.push_async_callback(client.aclose)
        await send(kafka, observations)
        await until(lambda: counted(api.client, start_us), lambda found: found.total() == 60)
        await send(kafka, late)
        await until(lambda: counted(api.client, start_us), lambda found: found == expected)
        assert metrics.READ_BACK._value.get() > 0
        alerts = await until(lambda: alerts_of(api.client), bool)
        assert [alert["budget_id"] for alert in alerts] == ["b"]
    await store.command(f"DROP DATABASE {store.database} SYNC", use_database=False)
    await store.close()


def working(kafka, store, control):
    """Run the streams' worker while the block runs."""
    from contextlib import asynccontextmanager

    from producers.settings import WebhookSettings
    from streams.observations.settings import StreamsSettings
    from streams.quarantine.settings import QuarantineSettings
    from streams.rollups.settings import ProjectSettings
    from streams.runtime.worker import Streams

    @asynccontextmanager
    async def run():
        stop = asyncio.Event()
        streams = Streams(
            kafka, store, control, StreamsSettings(), ProjectSettings(), {}, WebhookSettings(),
            QuarantineSettings(),
        )  # fmt: skip
        task = asyncio.create_task(streams.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    return run()


async def send(kafka, events: list) -> None:
    from aiokafka import AIOKafkaProducer

    from producers.kafka.clients import client_options
    from tracemill.contract import encode_event

    async with AIOKafkaProducer(**client_options(kafka)) as producer:
        for first in range(0, len(events), 3):
            value = b"\n".join(map(encode_event, events[first : first + 3]))
            await producer.send_and_wait(kafka.topics.events, value, partition=0)


async def counted(client, start_us: int) -> Counter[tuple[str, str]]:
    """Return the counts of windows by release and tier."""
    from datetime import UTC, datetime

    begin, end = (
        datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for at_us in (start_us, start_us + MINUTE_US)
    )
    params = {"from": begin, "to": end, "step": "1m", "group_by": "release,service"}
    answer = await client.get("/v1/windows", params=params)
    assert answer.status_code == 200, answer.text
    return Counter(
        {(w["release"], w["service"]): w["count"] for w in answer.json()["data"] if w["count"]}
    )


async def alerts_of(client) -> list:
    answer = await client.get("/v1/alerts")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def until(ask, holds):
    """Ask until the answer is as it should be."""
    deadline_s = time.monotonic() + SHOWN_WITHIN_S
    while not holds(answer := await ask()):
        assert time.monotonic() < deadline_s, answer
        await asyncio.sleep(0.2)
    return answer


if __name__ == "__main__":
    REGISTRY.register(TIER)
    REGISTRY.register(RELEASE)
    asyncio.run(check())
    print("all of it holds")
