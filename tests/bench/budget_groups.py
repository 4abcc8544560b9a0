"""Measure budgets with many groups: ``python -m tests.bench.budget_groups [users]``.

It prints the memory of the states, and the CPU time of a change and of a written state.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.streams.budgets.budget_world import NOON_S, NOON_US, USD, Running, budget, delta, spend

PER_DELTA = 50
PAGE_BYTES = 4096


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def main(users: int) -> None:
    tiers = {"free": USD // 10, "pro": 5 * USD}
    running = Running(budget(group_by=("user_id",), tiers=tiers, default_tier="free"))
    running.settle()
    deltas = [
        delta(number, *(spend(1_000, NOON_S, f"user-{number + each:07d}") for each in range(50)))
        for number in range(0, users, PER_DELTA)
    ]
    before_mb, began_s = resident_mb(), time.process_time()
    for number, each in enumerate(deltas):
        running.book.apply(each, number, NOON_US)
    spent_s = time.process_time() - began_s
    print(
        f"{users} groups: {resident_mb() - before_mb:.0f} MB, {spent_s / users * 1e6:.1f} µs each"
    )
    began_s = time.process_time()
    states = running.book.take_states()
    spent_s = time.process_time() - began_s
    print(f"{len(states)} states: {spent_s / len(states) * 1e6:.1f} µs each")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
