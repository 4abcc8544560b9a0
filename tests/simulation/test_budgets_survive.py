"""Receivers know exactly what is crossed, however the lives of the evaluator end.

``TRACEMILL_SIMULATION_SECONDS=3600 pytest tests/simulation/test_budgets_survive.py`` runs fresh
seeds for an hour. The seed of a failure is printed; ``TRACEMILL_SIMULATION_SEEDS=7:8`` runs seed 7.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from random import Random

import msgspec

from clickhouse.rows import BudgetStateRow
from producers.control.periods import period_bounds
from tests.simulation.budgets_world import SECOND_US, THRESHOLDS, Crash, Worker, World, alerts_of
from tests.simulation.fresh_seeds import named_seed, seeds_of_environment

SECONDS = 3.0
ACTIONS = (
    Worker.read, Worker.read, Worker.read, Worker.read, Worker.tick, Worker.flush, Worker.flush,
    Worker.query, Worker.settle, Worker.settle, Worker.change_budget,
)  # fmt: skip


def test_receivers_know_what_is_crossed_and_are_told_once() -> None:
    for seed in seeds_of_environment(SECONDS):
        with named_seed(seed):
            live(seed)


def live(seed: int) -> None:
    chance = Random(seed)
    world = World(chance, chance.choice((0.0, 0.02, 0.05, 0.2)), chance.choice((0, 5)))
    for _ in range(chance.randint(1, 6)):
        try:
            worker = Worker(world)
            if not world.budgets:
                worker.change_budget()
            for _ in range(chance.randint(1, 40)):
                for _ in range(chance.randint(0, 2)):
                    world.produce()
                world.now_us += chance.choice((1, 1, 1, 1_000, 60_000, 1_000_000)) * 1_000
                chance.choice(ACTIONS)(worker)
            if chance.random() < 0.5:  # a rebalance; otherwise the process is killed
                worker.flush()
        except Crash:
            pass
    world.crash_rate = 0.0
    Worker(world).finish()
    levels = check_alerts(world)
    check_states(world, levels)
    before = len(world.alerts)
    Worker(world).finish()
    assert len(world.alerts) == before, "another worker that reads the same has nothing to report"


Levels = dict[tuple[str, ...], bool]


def check_alerts(world: World) -> Levels:
    """A threshold that is crossed is reported once until it is taken back; return the last."""
    levels: Levels = {}
    for alert in alerts_of(world):
        payload = msgspec.json.decode(alert.payload)
        group = msgspec.json.encode(payload.get("group", {})).decode()
        key = (
            alert.rule_id, payload["limit_name"], str(payload["period_start_us"]), group,
            payload["threshold"],
        )  # fmt: skip
        is_crossed = alert.event == "budget.threshold_crossed"
        if not payload["limit_name"].startswith("rolling"):
            assert levels.get(key, False) != is_crossed, (key, alert.event)
        levels[key] = is_crossed
    return levels


def check_states(world: World, levels: Levels) -> None:
    """States have the spend of the log, and receivers know what is crossed."""
    rows = [msgspec.json.decode(each, type=BudgetStateRow) for each in world.states.values()]
    found: dict[tuple[str, str, int], dict[str, int]] = {}
    for row in rows:
        if not row.group or row.period.startswith("rolling"):
            continue
        budget = world.budgets[row.budget_id]
        at = (row.budget_id, row.limit_name, row.period_start_us)
        found.setdefault(at, {})[row.group] = row.spent_pico
        spent_pico = world.spent(budget, row.period, row.period_start_us).get(row.group, 0)
        assert row.spent_pico == spent_pico, row
        assert not row.incomplete, row
        steps = [-(-row.limit_pico * Fraction(share) // 1) for share in THRESHOLDS]
        crossed = THRESHOLDS[: bisect_right(steps, spent_pico)] if row.limit_pico else ()
        assert row.crossed == crossed, row
        known = tuple(
            share
            for share in THRESHOLDS
            if levels.get((*map(str, at), row.group, share))
        )  # fmt: skip
        assert known == crossed, (row, known)
    for budget in world.budgets.values():
        for _, delta in world.log[world.begins[budget.id] :]:
            for limit in budget.limits:
                for change in delta.spend:
                    if limit.period.startswith("rolling") or not change.cost_pico:
                        continue
                    at_us = change.bucket_s // 900 * 900 * SECOND_US
                    start_us = period_bounds(limit.period, "UTC", at_us)[0]
                    spent = world.spent(budget, limit.period, start_us)
                    mine = found.get((budget.id, limit.name, start_us), {})
                    assert not_zero(mine) == not_zero(spent)


def not_zero(spent: dict[str, int]) -> dict[str, int]:
    return {group: pico for group, pico in spent.items() if pico}
