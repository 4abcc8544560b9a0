"""`python -m tests.bench.metrics`: measure queries over 5 million observations of 30 days.

The store gets observations, traces, spend and windows with the same totals, and the hours and days
of windows are rolled up as in the sink. Then each question is sent to ``POST /v1/query`` again and
again. Those with means are answered from observations, because rollups have no sums of latencies.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from clickhouse.levels.rollups import Rollups
from clickhouse.levels.settings import LevelSettings
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from tests.bench.rollups import DAY_S, serving
from tests.fixtures.store import STORE_PASSWORD, STORE_USER, administered_store
from tests.query_api.harness import PROJECT

MODELS: Final = 20
USERS: Final = 20_000
OF_TRACE: Final = 5
"""Observations of each trace; two of them are calls of models."""

# Trace t starts at an even pace; user and model are pseudo-random, and users are skewed.
_ROWS: Final = """
SELECT intDiv(number, 5) AS t, number % 5 AS o, cityHash64(t) AS h, cityHash64(number) AS r,
  toInt64({begin_us:Int64}) + intDiv((t - {first:UInt64}) * 86400000000, {traces:UInt64})
    + o * 100000 AS at_us,
  o IN (1, 3) AS is_call, lower(hex(sipHash128(t))) AS trace,
  concat('user-', toString(toUInt32(pow(h % 1000000 / 1000000, 2) * {users:UInt32}))) AS user,
  concat('session-', toString(intDiv(t, 3))) AS session,
  if(is_call, concat('model-', toString(r % {models:UInt32})), '') AS model_name,
  50000 + toInt64(exp(13 + (r % 1000) / 500)) AS length_us,
  if(is_call, toInt64(100000000 + r % 5000000000), 0) AS pico,
  toInt64(r % 2000) AS inputs, toInt64(r % 300) AS outputs
FROM numbers({first:UInt64} * 5, {traces:UInt64} * 5)
"""
_OBSERVATIONS: Final = f"""
INSERT INTO observations (project_id, trace_id, id, start_us, row_version, end_us,
  completion_start_us, type, name, environment, level, model, usage, total_cost_pico, cost_source,
  user_id, session_id)
SELECT {{project:String}}, trace, lower(hex(r)), at_us, 1, at_us + length_us,
  if(is_call, at_us + intDiv(length_us, 4), 0), if(is_call, 'GENERATION', 'SPAN'),
  concat('step-', toString(o)), 'production', if(r % 50 = 0, 'ERROR', 'DEFAULT'), model_name,
  if(is_call, map('input', inputs, 'output', outputs, 'total', inputs + outputs), map()),
  pico, if(is_call, 'computed', 'none'), user, session
FROM ({_ROWS})
"""
_TRACES: Final = f"""
INSERT INTO traces (project_id, id, start_us, row_version, end_us, name, user_id, session_id,
  environment, observation_count, error_count, usage, total_cost_pico)
SELECT {{project:String}}, trace, min(at_us), 1, max(at_us + length_us), 'chat', any(user),
  any(session), 'production', count(), countIf(r % 50 = 0),
  map('input', sumIf(inputs, is_call), 'output', sumIf(outputs, is_call),
    'total', sumIf(inputs + outputs, is_call)), sum(pico)
FROM ({_ROWS}) GROUP BY trace
"""
_SPEND: Final = f"""
INSERT INTO spend (project_id, bucket_s, user_id, model, environment, session_id, trace_name,
  row_version, total_cost_pico, observation_count, total_tokens)
SELECT {{project:String}}, toUInt32(intDiv(at_us, 900000000) * 900) AS bucket, user, model_name,
  'production', session, 'chat', 1, sum(pico), count(), sumIf(inputs + outputs, is_call)
FROM ({_ROWS}) GROUP BY bucket, user, model_name, session
"""
_WINDOWS: Final = f"""
INSERT INTO windows (project_id, window_s, environment, model, name, type, level, row_version,
  observation_count, error_count, usage, total_cost_pico, latency_state, ttft_state)
SELECT {{project:String}}, toUInt32(intDiv(at_us, 3600000000) * 3600) AS hour, 'production',
  model_name, concat('step-', toString(o)), if(is_call, 'GENERATION', 'SPAN') AS kind,
  if(r % 50 = 0, 'ERROR', 'DEFAULT') AS severity, 1, count(), countIf(r % 50 = 0),
  if(is_call, map('input', sum(inputs), 'output', sum(outputs),
    'total', sum(inputs + outputs)), map()), sum(pico),
  quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(length_us)),
  quantilesDDStateIf(0.01, 0.5, 0.95, 0.99)(toFloat64(intDiv(length_us, 4)), is_call)
FROM ({_ROWS}) GROUP BY hour, model_name, o, kind, severity, is_call
"""
_MERGED: Final = ("observations", "observations_slim", "traces", "spend")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.metrics", description=__doc__)
    parser.add_argument("--observations", type=int, default=5_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--requests", type=int, default=20, help="requests of each question")
    parser.add_argument("--data-dir", help="keep the store there, and use it again")
    options = parser.parse_args()
    with administered_store(options.data_dir) as (url, _):
        _measure(url, options)


def _measure(url: str, options: argparse.Namespace) -> None:
    console = Console(width=120)
    began_s = time.monotonic()
    end_s = asyncio.run(_filled(url, options))
    console.print(f"{options.observations:,} observations there after {_since(began_s)}")
    begin_s = end_s - options.days * DAY_S
    table = Table("question", "source", "rows read", "p50, ms", "p95, ms", "max, ms")
    with serving(_store(url)) as client:
        for name, body in _questions(begin_s, end_s).items():
            times, meta = _times_s(client, body, options.requests)
            cells = (times[len(times) // 2], times[int(0.95 * (len(times) - 1))], times[-1])
            shown = (f"{each * 1000:,.0f}" for each in cells)
            table.add_row(name, ", ".join(meta["sources"]), f"{meta['rows_read']:,}", *shown)
    console.print(table)


def _questions(begin_s: int, end_s: int) -> dict[str, dict[str, Any]]:
    days = {"from": _iso(begin_s), "to": _iso(end_s), "step": "1d"}
    whole = {"from": _iso(begin_s), "to": _iso(end_s)}
    measures = ["count", "cost_usd", "latency_ms.p95"]
    by_user = {"group_by": ["user_id"], "limit": 50}
    return {
        "by model and day": {**days, "group_by": ["model"], "measures": measures},
        "by model and day, from observations": {
            **days, "group_by": ["model"], "measures": ["count", "cost_usd", "latency_ms.avg"],
        },
        "by model and day, exact percentiles": {
            **days, "group_by": ["model"], "measures": measures, "exact_percentiles": True,
        },
        "by user, top 50, cost": {**whole, **by_user, "measures": ["cost_usd"]},
        "by user, top 50, cost and calls": {**whole, **by_user, "measures": ["cost_usd", "count"]},
        "by user, top 50, from observations": {
            **whole, **by_user, "measures": ["cost_usd", "count", "latency_ms.avg"],
        },
        "by user, top 50, percentiles": {
            **whole, **by_user, "measures": ["cost_usd", "count", "latency_ms.p95"],
        },
    }  # fmt: skip


def _times_s(
    client: httpx.Client, body: dict[str, Any], requests: int
) -> tuple[list[float], dict[str, Any]]:
    """Return the sorted durations, and the description of the last answer."""
    times_s = []
    for _ in range(requests):
        began_s = time.perf_counter()
        answer = client.post("/v1/query", json=body)
        times_s.append(time.perf_counter() - began_s)
        assert answer.is_success, answer.text
    meta: dict[str, Any] = answer.json()["meta"]
    return sorted(times_s), meta


async def _filled(url: str, options: argparse.Namespace) -> int:
    """Fill the store, unless it has rows; return the end of their last day."""
    store = _store(url)
    try:
        await migrate(store, TieringSettings())
        (found,) = await store.query(
            "SELECT count() AS rows, toUnixTimestamp(toStartOfDay(max(start_time))) AS day_s"
            " FROM traces"
        )
        if found["rows"]:
            return int(found["day_s"]) + DAY_S
        end_s = int(time.time()) // DAY_S * DAY_S
        traces = options.observations // OF_TRACE // options.days
        for day in range(options.days):
            begin_us = (end_s - (options.days - day) * DAY_S) * 1_000_000
            params = {
                "project": PROJECT, "begin_us": begin_us, "traces": traces, "first": day * traces,
                "users": USERS, "models": MODELS,
            }  # fmt: skip
            for statement in (_OBSERVATIONS, _TRACES, _SPEND, _WINDOWS):
                names = {name: value for name, value in params.items() if f"{{{name}:" in statement}
                await store.command(statement, names)
        rollups = Rollups(store, LevelSettings(quiet_s=0, pause_ratio=0), insert_max_s=0)
        while not await rollups.recompute():
            continue
        # Parts of earlier days are merged long before they are queried.
        for each in _MERGED:
            await store.command(f"OPTIMIZE TABLE {each} FINAL")
        return end_s
    finally:
        await store.close()


def _store(url: str) -> Store:
    settings: dict[str, Any] = {
        "clickhouse_url": url,
        "clickhouse_user": STORE_USER,
        "clickhouse_password": STORE_PASSWORD,
        "clickhouse_query_timeout_s": 600,
    }
    return Store(StoreSettings(**settings))


def _iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _since(began_s: float) -> str:
    return f"{time.monotonic() - began_s:.0f} s"


if __name__ == "__main__":
    main()
