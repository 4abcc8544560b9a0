"""`make bench`: measure the whole pipeline on Apache Kafka and the embedded store from outside."""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import time

from rich.console import Console
from rich.table import Table

from tests.bench.alerts import (
    CrossingTimes,
    crossings_under_load,
    falling_rule_definition,
    rule_definition,
)
from tests.bench.definitions import create_definitions
from tests.bench.phases import Measured, RequestNumbers, flood, steady
from tests.bench.stages.table import stages_table
from tests.bench.temporary_server import temporary_server
from tests.fixtures.installation import ROLES, Server

IDLE_S = 10
WINDOW_S = 10


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--steady-s", type=float, default=300, help="seconds at 1,000 spans/s")
    parser.add_argument("--flood-s", type=float, default=60, help="seconds as fast as it goes")
    parser.add_argument("--crossings", type=int, default=20, help="budgets crossed under load")
    parser.add_argument("--rule-crossings", type=int, default=20, help="rules fired under load")
    parser.add_argument(
        "--falling-rule-crossings", type=int, default=0, help="the same, of a mean of 10 s"
    )
    parser.add_argument("--budgets", type=int, default=0, help="budgets with groups, all loads")
    parser.add_argument("--rules", type=int, default=0, help="rules with groups, all loads")
    parser.add_argument(
        "--stages", action=argparse.BooleanOptionalAction, default=True, help="each stage alone"
    )
    options = parser.parse_args()
    console = Console(width=140)
    if options.stages:
        console.print(stages_table())
    with temporary_server(TRACEMILL_WEBHOOKS_ALLOW_PRIVATE="true") as server:
        asyncio.run(_measure(server, options, console))


async def _measure(server: Server, options: argparse.Namespace, console: Console) -> None:
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    console.print(f"tracemill bench · {time.strftime('%Y-%m-%d')} · {machine}")
    console.print(f"`tracemill up` until ready: {server.ready_s:.1f} s")
    await asyncio.sleep(IDLE_S)
    idle = {role: usage.rss_bytes for role, usage in server.usage().items()}
    console.print(
        f"idle memory: {sum(idle.values()) / 1e6:,.0f} MB ("
        + ", ".join(f"{role} {size / 1e6:,.0f}" for role, size in idle.items())
        + ")"
    )
    numbers = RequestNumbers()
    loads: list[Measured] = []
    if options.budgets or options.rules:
        console.print(f"{options.budgets} budgets and {options.rules} rules, each with groups")
        async with server.client() as client:
            await create_definitions(client, options.budgets, options.rules)
    if options.steady_s:
        loads.append(await steady(server, numbers, spans_per_s=1_000, seconds=options.steady_s))
    crossings = (
        await crossings_under_load(server, numbers, options.crossings)
        if options.crossings
        else None
    )
    fired = (
        await crossings_under_load(server, numbers, options.rule_crossings, rule_definition)
        if options.rule_crossings
        else None
    )
    means = (
        await crossings_under_load(
            server, numbers, options.falling_rule_crossings, falling_rule_definition, WINDOW_S
        )
        if options.falling_rule_crossings
        else None
    )
    if options.flood_s:
        loads.append(await flood(server, numbers, seconds=options.flood_s))
    console.print(_table(loads))
    if crossings is not None:
        console.print(_crossings("budget crossing", crossings))
    if fired is not None:
        console.print(_crossings("rule of 10 s true", fired))
    if means is not None:
        console.print(_crossings("mean of 10 s true", means))


def _table(loads: list[Measured]) -> Table:
    table = Table(
        "",
        *(load.name for load in loads),
        title="OTLP spans, from the client's side; times are p50 / p95 / p99 / max",
    )
    for label, cell in (
        ("accepted", lambda m: f"{m.answers.accepted_spans:,}"),
        ("visible", lambda m: f"{m.visible_spans:,}"),
        ("lost", lambda m: f"{m.answers.accepted_spans - m.visible_spans:,}"),
        ("answered busy (503)", lambda m: f"{m.answers.busy:,}"),
        ("accepted per s", lambda m: f"{m.answers.accepted_spans / m.load_s:,.0f}"),
        ("visible per s, to the last", lambda m: f"{m.visible_spans / m.until_visible_s:,.0f}"),
        ("gateway ms", lambda m: _quantiles_ms(m.answers.latencies_s)),
        ("acknowledged → visible ms", lambda m: _quantiles_ms(m.visible_s)),
        *(
            (f"{role}: CPU µs per span, RSS", lambda m, role=role: _process(m, role))
            for role in ROLES
        ),
    ):
        table.add_row(label, *(cell(load) for load in loads))
    return table


def _process(measured: Measured, role: str) -> str:
    cpu_us = measured.cpu_s.get(role, 0.0) / max(measured.answers.accepted_spans, 1) * 1e6
    return f"{cpu_us:.1f} µs, {measured.rss_bytes.get(role, 0) / 1e6:,.0f} MB"


def _crossings(name: str, found: CrossingTimes) -> str:
    return (
        f"{name}, acknowledged → webhook received, under {found.spans_per_s:,} spans/s: "
        f"{_quantiles_ms(found.latencies_s)} ms; "
        f"{found.received} webhooks for {found.expected}"
    )


def _quantiles_ms(values_s: list[float]) -> str:
    """p50 / p95 / p99 / max."""
    if len(values_s) < 2:
        return "–"
    cuts = statistics.quantiles(values_s, n=100, method="inclusive")
    return " / ".join(
        f"{value * 1e3:,.0f}" for value in (cuts[49], cuts[94], cuts[98], max(values_s))
    )


if __name__ == "__main__":
    main()
