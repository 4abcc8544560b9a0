"""`python -m tests.bench.rollups`: measure charts of 90 days over HTTP, with rollups and without.

The store gets windows of 20 models and 50 observation names, one per hour and combination. Then
the same code as in the sink recomputes their hours and days, as it does after an upgrade. With
``--small``, only the last day is generated; its hours and days are copied to the days before.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import uvicorn
from rich.console import Console
from rich.table import Table

from clickhouse.levels.rollups import Rollups
from clickhouse.levels.schema import DAILY, HOURLY, window_columns
from clickhouse.levels.settings import LevelSettings
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from tests.fixtures.installation import usage_of
from tests.fixtures.store import STORE_PASSWORD, STORE_USER, administered_store
from tests.query_api.harness import PROJECT, make_api

DAY_S: Final = 86_400
MODELS: Final = 20
NAMES: Final = 50
CALLS: Final = 12
"""Calls in each window."""

# Latencies are log-normal: the square root and cosine make a normal value of two uniform ones.
_GENERATE: Final = """
INSERT INTO windows (project_id, window_start, environment, model, name, type, level, provider,
  row_version, observation_count, error_count, usage, total_cost, latency_state, ttft_state,
  rate_state)
SELECT {project:String}, toDateTime({begin_s:UInt32} + 3600 * hour, 'UTC'), 'production',
  concat('model-', toString(model)), concat('name-', toString(name)), 'GENERATION', 'DEFAULT',
  concat('provider-', toString(model % 4)), 1, count(), countIf(number % 40 = 0),
  map('input', toInt64(1200 * count()), 'output', toInt64(150 * count())), 0.0123 * count(),
  quantilesDDState(0.01, 0.5, 0.95, 0.99)(exp(13 + model / 10 + normal)),
  quantilesDDState(0.01, 0.5, 0.95, 0.99)(exp(11 + model / 10 + normal / 2)),
  quantilesDDState(0.01, 0.5, 0.95, 0.99)(exp(10 + normal / 3))
FROM (
  SELECT number, number % {models:UInt32} AS model,
    intDiv(number, {models:UInt32}) % {names:UInt32} AS name,
    intDiv(number, {models:UInt32} * {names:UInt32}) % 24 AS hour,
    sqrt(-2 * log((cityHash64(number) % 1000000 + 1) / 1000001))
      * cos(pi() * (cityHash64(number, 1) % 2000000) / 1000000) AS normal
  FROM numbers({calls:UInt32} * 24 * {models:UInt32} * {names:UInt32})
)
GROUP BY hour, model, name
"""


# Days before the last one have the same rows; hours are only copied for a week.
_COPY: Final = """
INSERT INTO {table} ({columns})
SELECT {values} FROM {table} ARRAY JOIN range(1, {{days:UInt32}}) AS days_before
WHERE project_id = {{project:String}} AND window_start >= toDateTime({{last_s:UInt32}}, 'UTC')
"""
_HOURLY_DAYS: Final = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollups", description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--requests", type=int, default=40, help="requests of each kind")
    parser.add_argument("--without", type=int, default=2, help="requests of each kind, before")
    parser.add_argument("--small", action="store_true", help="generate one day, and copy it")
    options = parser.parse_args()
    with administered_store() as (url, pid):
        _measure(url, pid, options)


def _measure(url: str, pid: int, options: argparse.Namespace) -> None:
    console = Console(width=110)
    end_s = int(time.time()) // DAY_S * DAY_S
    begin_s = end_s - options.days * DAY_S
    began_s = time.monotonic()
    generated = 1 if options.small else options.days
    asyncio.run(_generate(url, end_s - generated * DAY_S, generated))
    rows = generated * 24 * MODELS * NAMES
    console.print(f"{rows:,} windows generated in {time.monotonic() - began_s:.0f} s")
    with serving(_store(url)) as client:
        charts = _charts(begin_s, end_s)
        without = 0 if options.small else options.without
        if options.small:
            charts = {name: chart for name, chart in charts.items() if "time_zone" not in chart}
        before = {name: _times_s(client, chart, without) for name, chart in charts.items()}
        began_s, cpu_s = time.monotonic(), usage_of(pid).cpu_s
        asyncio.run(_recompute(url))
        console.print(
            f"hours and days recomputed in {time.monotonic() - began_s:.0f} s"
            f" ({usage_of(pid).cpu_s - cpu_s:.0f} s of CPU)"
        )
        if options.small:
            asyncio.run(_copy_days(url, end_s - DAY_S, options.days))
        after = {name: _times_s(client, chart, options.requests) for name, chart in charts.items()}
    table = Table("chart", "without p50, ms", "p50, ms", "p95, ms", "max, ms")
    for name in charts:
        found = sorted(after[name])
        p95 = found[int(0.95 * (len(found) - 1))]
        cells = (statistics.median(found), p95, found[-1])
        was = f"{statistics.median(before[name]) * 1000:,.0f}" if before[name] else "-"
        table.add_row(name, was, *(f"{each * 1000:,.0f}" for each in cells))
    console.print(table)


def _charts(begin_s: int, end_s: int) -> dict[str, dict[str, str]]:
    whole = {"from": _iso(begin_s), "to": _iso(end_s), "step": "1d"}
    week = {"from": _iso(max(begin_s, end_s - 7 * DAY_S)), "to": _iso(end_s), "step": "1h"}
    return {
        "daily, by model": {**whole, "group_by": "model"},
        "daily, by model, calls and cost": {**whole, "group_by": "model", "fields": "count,cost"},
        "daily, by model, latency": {**whole, "group_by": "model", "fields": "count,latency_ms"},
        "daily, total": whole,
        "daily, by name": {**whole, "group_by": "name"},
        "daily, by name, of one model": {**whole, "group_by": "name", "model": "model-7"},
        "daily, by model, Asia/Shanghai": {
            **whole, "group_by": "model", "time_zone": "Asia/Shanghai",
        },
        "daily, total, Asia/Kolkata": {**whole, "time_zone": "Asia/Kolkata"},
        "hourly, 7 days, by model": {**week, "group_by": "model"},
    }  # fmt: skip


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _store(url: str) -> Store:
    settings: dict[str, Any] = {
        "clickhouse_url": url,
        "clickhouse_user": STORE_USER,
        "clickhouse_password": STORE_PASSWORD,
    }
    return Store(StoreSettings(**settings))


async def _generate(url: str, begin_s: int, days: int) -> None:
    store = _store(url)
    try:
        await migrate(store, TieringSettings())
        for day in range(days):
            params = {
                "project": PROJECT, "begin_s": begin_s + day * DAY_S, "models": MODELS,
                "names": NAMES, "calls": CALLS,
            }  # fmt: skip
            await store.command(_GENERATE, params)
    finally:
        await store.close()


async def _recompute(url: str) -> None:
    store = _store(url)
    try:
        rollups = Rollups(store, LevelSettings(quiet_s=0, pause_ratio=0), insert_max_s=0)
        while not await rollups.recompute():
            continue
    finally:
        await store.close()


async def _copy_days(url: str, last_s: int, days: int) -> None:
    store = _store(url)
    try:
        for table, copied in ((HOURLY, min(days, _HOURLY_DAYS)), (DAILY, days)):
            columns = [each.name for each in await window_columns(store, table)]
            names = ["project_id", "cube", "row_version", *columns]
            text = _COPY.format(
                table=table,
                columns=", ".join(["window_start", *names]),
                values=", ".join([f"window_start - days_before * {DAY_S}", *names]),
            )
            await store.command(text, {"project": PROJECT, "last_s": last_s, "days": copied})
            # Parts of earlier days are merged long before a chart reads them.
            await store.command(f"OPTIMIZE TABLE {table} FINAL")
    finally:
        await store.close()


@contextmanager
def serving(store: Store) -> Iterator[httpx.Client]:
    """Serve the query API over HTTP, and yield a client of the project."""
    api, clients = make_api(store)
    (port,) = free_ports(1)
    app = api.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    auth = (f"pk-{PROJECT}", f"sk-{PROJECT}")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=auth, timeout=120) as client:
            while not server.started:
                time.sleep(0.05)
            yield client
    finally:
        server.should_exit = True
        thread.join()
        for each in clients:
            asyncio.run(each.aclose())


def _times_s(client: httpx.Client, chart: Mapping[str, str], requests: int) -> list[float]:
    """Return the durations of requests; one that is refused counts as endless."""
    times_s = []
    for _ in range(requests):
        began_s = time.perf_counter()
        answer = client.get("/v1/windows", params=chart)
        times_s.append(time.perf_counter() - began_s if answer.is_success else float("inf"))
    return times_s


if __name__ == "__main__":
    main()
