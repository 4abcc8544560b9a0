"""A worker reads usual spend for forecasts: after an outage, and for new and removed budgets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import msgspec

from clickhouse.rows import SpendRow
from deploy.embedded.ports import free_ports
from producers.budgets.forecast import HISTORY_S, HOUR_S, WEEK_HOURS, history_bounds_s
from streams.core.rollups.deltas import Delta
from tests.clickhouse.rows_for_tests import write
from tests.streams.budgets.budget_world import spend
from tests.streams.project_pipeline import Pipeline

WORKER = "tests.streams.alerting.alerting_process"
LIMIT_PICO = 1_000
NEARLY_PICO = 999
"""Spend below the limit, which will exceed it by any forecast."""
WITHIN_S = 60.0


async def keep_usual_spend(pipeline: Pipeline) -> None:
    """Store the same spend in each hour of a week."""
    first_s = history_bounds_s(int(time.time()))[1] - HISTORY_S // 2
    rows = [
        SpendRow(
            project_id="p1", bucket_s=first_s + hour * HOUR_S, user_id="ada", model="m",
            environment="e", row_version=1, total_cost_pico=50,
        )
        for hour in range(WEEK_HOURS)
    ]  # fmt: skip
    await write(pipeline.store, "spend", *rows)


@asynccontextmanager
async def forwarding(port: int, url: str) -> AsyncIterator[None]:
    """Let a port lead to the store during the block."""
    target = urlsplit(url)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def methods(pipeline: Pipeline, budget_id: str) -> list[str]:
    """Return the methods of the forecasts that alerts of a budget report, in order."""
    return [
        msgspec.json.decode(alert.payload)["method"]
        for alert in await pipeline.alerts()
        if alert.rule_id == budget_id
    ]


async def test_usual_spend_is_read_when_the_store_answers_and_for_later_budgets(
    pipeline: Pipeline, until: Callable[..., Any]
) -> None:
    (port,) = free_ports(1)
    await keep_usual_spend(pipeline)
    offsets = count()
    of_budget: dict[str, Any] = {
        "group_by": ("user_id",), "forecast": "hour_of_week", "limit_pico": LIMIT_PICO,
        "thresholds": ("1",),
    }  # fmt: skip

    async def spend_of_a_new_user() -> None:
        """Send spend of a user that no alert names yet, so that each budget reports a forecast."""
        number = next(offsets)
        at_s = int(time.time()) // 900 * 900
        change = spend(NEARLY_PICO, at_s, f"u{number}")
        await pipeline.send(Delta("p1", 0, number, [], [change]))

    async def is_forecast(budget_id: str, method: str) -> bool:
        await spend_of_a_new_user()
        return method in await methods(pipeline, budget_id)

    async def becomes(budget_id: str, method: str) -> None:
        await until(lambda: is_forecast(budget_id, method), WITHIN_S)

    await pipeline.put_budget(id="before", **of_budget)
    pipeline.start_worker(
        WORKER,
        TRACEMILL_CLICKHOUSE_URL=f"http://127.0.0.1:{port}",
        TRACEMILL_ALERTING_BUDGET_USUAL_RETRY_S="0.5",
        TRACEMILL_ALERTING_EARLIER_INTERVAL_S="0.1",
    )
    await becomes("before", "linear")
    assert "hour_of_week" not in await methods(pipeline, "before")

    async with forwarding(port, pipeline.store.settings.clickhouse_url):
        await becomes("before", "hour_of_week")
        await pipeline.put_budget(id="later", **of_budget)
        await becomes("later", "hour_of_week")
        assert {*await methods(pipeline, "later")} == {"hour_of_week"}

        await pipeline.control.delete("budget", "before")
        await pipeline.put_budget(id="last", scope={"model": "m"}, **of_budget)
        await becomes("last", "hour_of_week")
        reported = await methods(pipeline, "before")
        known = len(await methods(pipeline, "last"))

        async def has_another() -> bool:
            await spend_of_a_new_user()
            return len(await methods(pipeline, "last")) > known

        await until(has_another, WITHIN_S)
        assert await methods(pipeline, "before") == reported, "a removed budget is not forecast"
