"""`python -m tests.bench.user_budget`: floods over many users, without and with a budget for each.

Pairs of floods, one without the budget and one with it, go to one installation. The order changes
from pair to pair, so that neither has the larger store. It prints the visible spans per second, the
CPU time per span and the memory of the streams, and the ratio of each pair.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

import httpx
from rich.console import Console
from rich.table import Table

from tests.bench.otlp_load import UsersTemplate
from tests.bench.phases import FLOOD_SPANS, Measured, RequestNumbers, flood
from tests.bench.temporary_server import temporary_server
from tests.fixtures.installation import ROLES, Server

SETTLE_S = 5.0
COMPLETE_TIMEOUT_S = 120.0
BUDGET = {
    "name": "each user", "group_by": ["user_id"], "period": "day",
    "tiers": {"free": "0.10", "pro": "5"}, "default_tier": "free", "thresholds": [0.8, 1],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.user_budget", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30, help="of each flood")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--ratio-min", type=float, default=0.9, help="exit with 1 below it")
    options = parser.parse_args()
    with temporary_server() as server:
        loads = asyncio.run(_measure(server, options))
    ratios = [_speed(after) / _speed(before) for before, after in loads]
    Console(width=120).print(_table(loads))
    print("visible per s, with / without: " + ", ".join(f"{each:.3f}" for each in ratios))
    costs = [_cpu_us(after) / _cpu_us(before) for before, after in loads]
    print("CPU per span, with / without: " + ", ".join(f"{each:.3f}" for each in costs))
    return int(statistics.median(ratios) < options.ratio_min)


async def _measure(server: Server, options: argparse.Namespace) -> list[tuple[Measured, Measured]]:
    numbers = RequestNumbers()
    loads = []

    async def flooded(name: str) -> Measured:
        await asyncio.sleep(SETTLE_S)
        template = UsersTemplate(FLOOD_SPANS, environment=name, users=options.users)
        return await flood(server, numbers, seconds=options.seconds, template=template)

    await flood(server, numbers, seconds=SETTLE_S)
    async with server.client() as client:
        for pair in range(options.pairs):
            is_budget_last = pair % 2 == 0
            if is_budget_last:
                without = await flooded(f"without-{pair}")
            answer = await client.post("/v1/budgets", json=BUDGET)
            answer.raise_for_status()
            before = server.usage()["streams"].rss_bytes
            await _until_complete(client, answer.json()["id"])
            after = server.usage()["streams"].rss_bytes
            print(f"streams, stored spend read: {before / 1e6:,.0f} → {after / 1e6:,.0f} MB")
            with_budget = await flooded(f"with-{pair}")
            path = f"/v1/budgets/{answer.json()['id']}/status"
            status = (await client.get(path)).json()
            print(f"groups: {status.get('group_count')}")
            (await client.delete(f"/v1/budgets/{answer.json()['id']}")).raise_for_status()
            if not is_budget_last:
                without = await flooded(f"without-{pair}")
            loads.append((without, with_budget))
    return loads


async def _until_complete(client: httpx.AsyncClient, budget_id: str) -> None:
    """Wait until the stored spend of the budget's period is read."""
    deadline_s = time.monotonic() + COMPLETE_TIMEOUT_S
    while True:
        status = (await client.get(f"/v1/budgets/{budget_id}/status")).json()
        if status.get("group_count") and not status.get("incomplete"):
            return
        assert time.monotonic() < deadline_s, status
        await asyncio.sleep(0.5)


def _speed(load: Measured) -> float:
    return load.visible_spans / load.until_visible_s


def _cpu_us(load: Measured) -> float:
    """Return the CPU time of all processes per span, which other loads influence less."""
    return sum(load.cpu_s.get(role, 0.0) for role in ROLES) / max(load.visible_spans, 1) * 1e6


def _table(loads: list[tuple[Measured, Measured]]) -> Table:
    names = [f"{name} {pair + 1}" for pair in range(len(loads)) for name in ("without", "with")]
    table = Table("", *names, title="floods over many users, without and with a budget for each")
    flat = [each for pair in loads for each in pair]
    table.add_row("visible", *(f"{each.visible_spans:,}" for each in flat))
    lost = (f"{each.answers.accepted_spans - each.visible_spans:,}" for each in flat)
    table.add_row("lost", *lost)
    table.add_row("visible per s", *(f"{_speed(each):,.0f}" for each in flat))
    for role in ROLES:
        cells = (
            f"{each.cpu_s.get(role, 0.0) / max(each.visible_spans, 1) * 1e6:.1f} µs,"
            f" {each.rss_bytes.get(role, 0) / 1e6:,.0f} MB"
            for each in flat
        )
        table.add_row(f"{role}: CPU per span, RSS", *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
