"""`python -m tests.bench.decisions --seconds N`: decisions about calls at a fixed rate.

An installation gets 200 budgets, one of which has 100,000 groups. Requests start at fixed times,
however long earlier ones take, and latencies count from these times. Exits with 1 if a decision is
wrong, or if the 99th percentile is above the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from clickhouse.feeds.budget_states import FEED
from clickhouse.rows import BudgetStateRow
from deploy.local import local_environment
from producers.control.periods import period_bounds
from producers.kafka.clients import new_producer
from producers.settings import KafkaSettings
from tests.bench.otlp_load import Answers, Connection, Template, post_until_accepted
from tests.bench.phases import RequestNumbers
from tests.bench.temporary_server import temporary_server
from tests.fixtures.installation import Server
from tracemill.clock import now_us
from tracemill.partitioning import partition_of

BUDGETS = 200
GROUPS = 100_000
CONNECTIONS = 16
USD = 10**12
PROJECT = "default"
SPANS = 50
READY_TIMEOUT_S = 60.0


@dataclass
class Load:
    """What was asked, and what the answers were."""

    latencies_s: list[float] = field(default_factory=list)
    denied: int = 0
    wrong: int = 0


def settings_of(data_dir: Path) -> KafkaSettings:
    """Return the settings of an installation's broker."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in local_environment(data_dir, store_user="query").items():
            environment.setenv(name, value)
        return KafkaSettings()


def scope_of(number: int) -> dict[str, Any]:
    """Return the scope of one of many budgets; they have several shapes."""
    shapes: list[dict[str, Any]] = [
        {"model": f"model-{number}"},
        {"environment": f"env-{number % 30}"},
        {"user_id": f"user-{number}"},
        {"model": "gpt-4o", "user_id": f"user-{number}"},
        {"tags": f"tag-{number}"},
        {"session_id": f"session-{number}"},
        {"model": f"model-{number}", "environment": "production"},
    ]
    return shapes[number % len(shapes)]


async def create_budgets(server: Server) -> str:
    """Create the budgets; return the id of the one with groups."""
    async with server.client() as client:
        each = {"name": "each user", "group_by": ["user_id"], "period": "day", "limit_usd": "1"}
        others = [
            {"name": str(n), "scope": scope_of(n), "period": "day", "limit_usd": "1000000"}
            for n in range(BUDGETS - 1)
        ]
        ids = []
        for body in (each, *others):
            answer = await client.post("/v1/budgets", json=body)
            assert answer.status_code == 201, answer.text
            ids.append(answer.json()["id"])
    return str(ids[0])


async def write_states(kafka: KafkaSettings, budget_id: str) -> None:
    """Write the state of each group: even users have spent their limit."""
    producer = new_producer(kafka, batch_bytes=256 * 1024)
    await producer.start()
    start_us, end_us = period_bounds("day", "UTC", now_us())
    topic = FEED.topic_in(kafka.topics)
    partition = partition_of(PROJECT, "", len(await producer.partitions_for(topic)))
    sent = []
    for number in range(GROUPS):
        row = BudgetStateRow(
            project_id=PROJECT,
            budget_id=budget_id,
            period="day",
            period_start_us=start_us,
            period_end_us=end_us,
            group=f'{{"user_id":"user-{number}"}}',
            spent_pico=USD if number % 2 == 0 else USD // 2,
            limit_pico=USD,
            updated_us=now_us(),
            row_version=1,
        )
        key = f"{budget_id}//{start_us}/{number}".encode()
        value = msgspec.json.encode(row)
        sent.append(await producer.send(topic, value, key=key, partition=partition))
    await asyncio.gather(*sent)
    await producer.stop()


Get = Any


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Get]:
    """Provide a function that asks over one connection."""
    parts = urlsplit(server.url)
    token = base64.b64encode(f"{server.public_key}:{server.secret_key}".encode()).decode()
    head = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {token}\r\n\r\n"
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)

    async def get(target: str) -> tuple[int, bytes]:
        writer.write(f"GET {target}{head}".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = answer.index(b"content-length:") + 15
        body = await reader.readexactly(int(answer[at : answer.index(b"\r\n", at)]))
        return int(answer[9:12]), body

    yield get
    writer.close()


def target_of(number: int) -> str:
    call = {
        "user_id": f"user-{number}", "model": "gpt-4o", "environment": "production",
        "session_id": "session-1", "tags": "batch", "estimated_usd": "0.01",
    }  # fmt: skip
    return f"/v1/budgets/decision?{urlencode(call)}"


async def until_known(server: Server) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    async with connected(server) as get:
        while True:
            answers = [await get(target_of(GROUPS - 2))]
            if all(status == 200 and not json.loads(body)["allow"] for status, body in answers):
                return
            assert time.monotonic() < deadline_s, answers
            await asyncio.sleep(0.1)


async def ask(server: Server, rate: int, seconds: float, load: Load) -> None:
    """Ask ``rate`` times per second, over several connections."""
    clock = asyncio.get_running_loop().time
    begun_s = clock() + 0.1
    numbers = itertools.count()
    chosen = random.Random(1)
    total = int(rate * seconds)

    async def one_after_the_other() -> None:
        async with connected(server) as get:
            while (number := next(numbers)) < total:
                due_s = begun_s + number / rate
                await asyncio.sleep(max(0.0, due_s - clock()))
                user = chosen.randrange(GROUPS)
                status, body = await get(target_of(user))
                load.latencies_s.append(clock() - due_s)
                is_denied = b'"allow":false' in body
                load.denied += is_denied
                load.wrong += status != 200 or is_denied != (user % 2 == 0)

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))


async def measure(server: Server, kafka: KafkaSettings, options: argparse.Namespace) -> Load:
    budget_id = await create_budgets(server)
    before = server.usage()["edge"].rss_bytes
    await write_states(kafka, budget_id)
    await until_known(server)
    await asyncio.sleep(2)
    print(f"edge: {before / 1e6:.0f} MB before {GROUPS:,} states,", end=" ")
    print(f"{server.usage()['edge'].rss_bytes / 1e6:.0f} MB after")
    gc.collect()
    gc.freeze()
    await ask(server, options.rate, 3, Load())
    load = Load()
    cpu_s = server.usage()["edge"].cpu_s
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        keys = (server.url, server.public_key, server.secret_key)
        traffic = loop.run_in_executor(
            pool, send_traffic, keys, options.spans_per_s, options.seconds
        )
        await ask(server, options.rate, options.seconds, load)
        used_s = server.usage()["edge"].cpu_s - cpu_s
        await traffic
    print(f"edge: {used_s / len(load.latencies_s) * 1e6:.0f} µs of CPU per decision")
    return load


def send_traffic(keys: tuple[str, str, str], spans_per_s: int, seconds: float) -> None:
    """Send spans at a fixed rate; in a process of its own, so that it delays no measurement."""
    if spans_per_s:
        asyncio.run(_send_traffic(Connection(*keys), spans_per_s, seconds))


async def _send_traffic(connection: Connection, spans_per_s: int, seconds: float) -> None:
    template = Template(SPANS, environment="traffic")
    numbers, clock = RequestNumbers(), asyncio.get_running_loop().time
    begun_s = clock()
    async with connection.open() as post:
        for number in range(int(spans_per_s * seconds / SPANS)):
            await asyncio.sleep(max(0.0, begun_s + number * SPANS / spans_per_s - clock()))
            body = template.body(numbers.take(), time.time_ns())
            await post_until_accepted(post, body, SPANS, Answers())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.decisions", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=500, help="decisions per second")
    parser.add_argument("--spans-per-s", type=int, default=0, help="other traffic")
    parser.add_argument("--p99-max-ms", type=float, default=5)
    options = parser.parse_args()
    with temporary_server() as server:
        kafka = settings_of(server.data_dir)
        load = asyncio.run(measure(server, kafka, options))
    cuts = statistics.quantiles(load.latencies_s, n=1000)
    p50, p99, p999 = (cuts[each] * 1e3 for each in (499, 989, 998))
    print(
        f"{len(load.latencies_s):,} decisions at {options.rate}/s, {load.denied:,} denied,"
        f" {load.wrong} wrong: p50 {p50:.2f} ms, p99 {p99:.2f} ms, p99.9 {p999:.2f} ms,"
        f" max {max(load.latencies_s) * 1e3:.1f} ms"
    )
    return int(load.wrong > 0 or p99 > options.p99_max_ms)


if __name__ == "__main__":
    sys.exit(main())
