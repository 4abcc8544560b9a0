"""Measure the time from an acknowledged event to the webhook of its budget, under load."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
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
    """A webhook receiver that notes when each budget's alert came."""

    def __init__(self) -> None:
        self.port = 0
        self.received_s: dict[str, list[float]] = {}
        self._arrived = asyncio.Condition()

    async def wait_for(self, budget_id: str) -> float:
        async with asyncio.timeout(RECEIVE_TIMEOUT_S), self._arrived:
            await self._arrived.wait_for(lambda: budget_id in self.received_s)
        return self.received_s[budget_id][0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                at = head.index("content-length:") + 15
                body = json.loads(await reader.readexactly(int(head[at : head.index("\r\n", at)])))
                now_s = time.perf_counter()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                async with self._arrived:
                    self.received_s.setdefault(body["data"]["budget_id"], []).append(now_s)
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


async def crossings_under_load(
    server: Server, numbers: RequestNumbers, crossings: int
) -> CrossingTimes:
    """``crossings`` budgets of one user each; one export spends each budget at a stroke."""
    found = CrossingTimes(SPANS_PER_S, expected=crossings)
    seconds = crossings * (BETWEEN_S + 0.5) + 5
    async with Receiver().listening() as receiver, server.client() as client:
        created = await client.post(
            "/v1/webhooks",
            json={
                "url": f"http://127.0.0.1:{receiver.port}/hook",
                "events": ["budget.threshold_crossed"],
            },
        )
        assert created.status_code == HTTPStatus.CREATED, created.text
        run = time.time_ns()
        budgets: list[tuple[str, str]] = []
        for index in range(crossings):
            user = f"spender-{run}-{index}"
            answer = await client.post(
                "/v1/budgets",
                json={
                    "name": user,
                    "scope": {"user_id": user},
                    "period": "day",
                    "time_zone": "UTC",
                    "limit_usd": "0.0001",
                    "thresholds": [1.0],
                },
            )
            assert answer.status_code == HTTPStatus.CREATED, answer.text
            budgets.append((user, answer.json()["id"]))
        traffic = asyncio.create_task(
            steady(server, numbers, spans_per_s=SPANS_PER_S, seconds=seconds, environment="traffic")
        )
        connection = Connection(server.url, server.public_key, server.secret_key)
        async with connection.open() as post:
            await asyncio.sleep(2)
            for user, budget_id in budgets:
                template = Template(5, environment="crossing", user=user)
                body = template.body(numbers.take(), time.time_ns())
                acknowledged_s = await post_until_accepted(post, body, 5, Answers())
                received_s = await receiver.wait_for(budget_id)
                found.latencies_s.append(max(0.0, received_s - acknowledged_s))
                await asyncio.sleep(BETWEEN_S)
        await traffic
        found.received = sum(len(times) for times in receiver.received_s.values())
        await client.delete(f"/v1/webhooks/{created.json()['id']}")
    return found
