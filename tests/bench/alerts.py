"""Measure the time from an acknowledged event to the webhook of its budget or rule, under load."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.bench.otlp_load import Answers, Connection, Template, post_until_accepted
from tests.bench.phases import RequestNumbers, steady
from tests.fixtures.installation import Server

RECEIVE_TIMEOUT_S = 30.0
BETWEEN_S = 0.5
SPANS_PER_S = 1_000


@dataclass(slots=True)
class CrossingTimes:
    spans_per_s: int
    expected: int
    received: int = 0
    latencies_s: list[float] = field(default_factory=list)


class Receiver:
    """A webhook receiver that notes when the alert of each budget and rule came."""

    def __init__(self) -> None:
        self.port = 0
        self.received_s: dict[str, list[float]] = {}
        self._arrived = asyncio.Condition()

    async def wait_for(self, rule_id: str) -> float:
        async with asyncio.timeout(RECEIVE_TIMEOUT_S), self._arrived:
            await self._arrived.wait_for(lambda: rule_id in self.received_s)
        return self.received_s[rule_id][0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                at = head.index("content-length:") + 15
                body = json.loads(await reader.readexactly(int(head[at : head.index("\r\n", at)])))
                now_s = time.perf_counter()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                async with self._arrived:
                    data = body["data"]
                    rule = data.get("budget_id") or data["rule_id"]
                    self.received_s.setdefault(rule, []).append(now_s)
                    self._arrived.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


@dataclass(frozen=True, slots=True)
class Definition:
    """A budget or rule that one export with this user and environment makes true."""

    path: str
    event: str
    body: dict[str, object]
    user: str
    environment: str


def budget_definition(name: str) -> Definition:
    """Return a budget of one user, whose limit one export exceeds."""
    body: dict[str, object] = {
        "name": name,
        "scope": {"user_id": name},
        "period": "day",
        "time_zone": "UTC",
        "limit_usd": "0.0001",
        "thresholds": [1.0],
    }
    return Definition("/v1/budgets", "budget.threshold_crossed", body, name, "crossing")


def rule_definition(name: str) -> Definition:
    """Return a rule on the cost of ten seconds, which one export makes true."""
    body: dict[str, object] = {
        "name": name,
        "metric": "cost",
        "filter": {"environment": [name]},
        "comparison": ">",
        "threshold": "0.0001",
        "window": "10s",
    }
    return Definition("/v1/alert-rules", "alert.firing", body, "bench-user", name)


def falling_rule_definition(name: str) -> Definition:
    """Return a rule on a mean of ten seconds, which is evaluated when its window ends."""
    rule = rule_definition(name)
    body = rule.body | {"metric": "avg_latency", "threshold": 0.000001}
    return Definition(rule.path, rule.event, body, rule.user, rule.environment)


async def crossings_under_load(
    server: Server,
    numbers: RequestNumbers,
    crossings: int,
    definition: Callable[[str], Definition] = budget_definition,
    expected_s: float = 0.5,
) -> CrossingTimes:
    """Create ``crossings`` definitions; send one export for each, and wait for its webhook."""
    found = CrossingTimes(SPANS_PER_S, expected=crossings)
    seconds = crossings * (BETWEEN_S + expected_s) + 5
    async with Receiver().listening() as receiver, server.client() as client:
        created = await client.post(
            "/v1/webhooks",
            json={
                "url": f"http://127.0.0.1:{receiver.port}/hook",
                "events": [definition("x").event],
            },
        )
        assert created.status_code == HTTPStatus.CREATED, created.text
        run = time.time_ns()
        created_rules: list[tuple[Definition, str]] = []
        for index in range(crossings):
            rule = definition(f"bench-{run}-{index}")
            answer = await client.post(rule.path, json=rule.body)
            assert answer.status_code == HTTPStatus.CREATED, answer.text
            created_rules.append((rule, answer.json()["id"]))
        traffic = asyncio.create_task(
            steady(server, numbers, spans_per_s=SPANS_PER_S, seconds=seconds, environment="traffic")
        )
        connection = Connection(server.url, server.public_key, server.secret_key)
        async with connection.open() as post:
            await asyncio.sleep(2)
            for rule, rule_id in created_rules:
                template = Template(5, environment=rule.environment, user=rule.user)
                body = template.body(numbers.take(), time.time_ns())
                acknowledged_s = await post_until_accepted(post, body, 5, Answers())
                received_s = await receiver.wait_for(rule_id)
                found.latencies_s.append(max(0.0, received_s - acknowledged_s))
                await asyncio.sleep(BETWEEN_S)
        await traffic
        found.received = sum(len(times) for times in receiver.received_s.values())
        await client.delete(f"/v1/webhooks/{created.json()['id']}")
    return found
