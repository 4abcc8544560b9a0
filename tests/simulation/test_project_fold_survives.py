"""Totals are exact and each threshold is alerted once, whenever workers crash."""

import random

import pytest

from tests.simulation.fresh_seeds import fresh_seeds
from tests.simulation.project_load import Stage1, random_budgets, spent_by_period
from tests.simulation.project_world import Crash, Worker, World, stored_totals

SEEDS = [*range(60), *fresh_seeds(40)]


ACTIONS = [
    Worker.read_one,
    Worker.read_one,
    Worker.read_one,
    Worker.flush,
    Worker.ask,
    Worker.answer,
    Worker.evict,
    lambda worker: worker.world.sink_some(),
    lambda worker: worker.world.deliver_late(),
]


def live_through(seed: int, *, corrections: bool, writes_late: bool = False):
    """Run workers one after another until one gets through; every action may be its last."""
    rng = random.Random(seed)
    world = World(rng, crash_rate=rng.choice([0.0, 0.01, 0.05, 0.2]), writes_late=writes_late)
    source = Stage1(rng, corrections)
    source.write(world.log, rng.randint(1, 40))
    budgets = random_budgets(rng)
    work_off(world, budgets)
    return world, source, budgets


def work_off(world: World, budgets):
    rng, crash_rate = world.rng, world.crash_rate
    for _ in range(rng.randint(0, 60)):
        try:
            worker = Worker(world, budgets)
            for _ in range(rng.randint(1, 60)):
                rng.choice(ACTIONS)(worker)
        except Crash:
            for _ in range(rng.randint(0, 3)):
                world.deliver_late()
            continue
    world.crash_rate = 0.0
    Worker(world, budgets).finish()
    world.crash_rate = crash_rate


@pytest.mark.parametrize("seed", SEEDS)
def test_totals_are_exact_and_each_threshold_is_alerted_once(seed):
    world, source, budgets = live_through(seed, corrections=False)

    windows, spend = source.totals()
    assert stored_totals(world) == (windows, spend)

    expected = {
        (budget.id, start_us, threshold)
        for (budget_id, start_us), spent_pico in spent_by_period(budgets, spend).items()
        for budget in budgets
        if budget.id == budget_id
        for pico, threshold in budget.steps()
        if spent_pico >= pico
    }
    alerted = [(c.budget.id, c.period_start_us, c.threshold) for c in world.alerts]
    assert len(alerted) == len(set(alerted))
    assert set(alerted) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_corrections_leave_exact_totals_and_miss_no_threshold(seed):
    world, source, budgets = live_through(seed, corrections=True)

    windows, spend = source.totals()
    assert stored_totals(world) == (windows, spend)

    alerted = [(c.budget.id, c.period_start_us, c.threshold) for c in world.alerts]
    assert len(alerted) == len(set(alerted))
    reached = {
        (budget.id, start_us, threshold)
        for (budget_id, start_us), spent_pico in spent_by_period(budgets, spend).items()
        for budget in budgets
        if budget.id == budget_id
        for pico, threshold in budget.steps()
        if spent_pico >= pico
    }
    assert reached <= set(alerted)
    for crossing in world.alerts:
        assert (
            crossing.spent_pico >= dict(map(reversed, crossing.budget.steps()))[crossing.threshold]
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_late_records_of_stopped_workers_change_no_total(seed):
    world, source, budgets = live_through(seed, corrections=True, writes_late=True)
    assert stored_totals(world) == source.totals()
    while any(world.late):
        world.deliver_late()
    world.sink_all()
    assert stored_totals(world) == source.totals()
    work_off(world, budgets)
    assert stored_totals(world) == source.totals()


@pytest.mark.parametrize("seed", SEEDS)
def test_late_records_of_stopped_workers_alert_nothing_else(seed):
    world, source, budgets = live_through(seed, corrections=False, writes_late=True)
    _, spend = source.totals()
    expected = {
        (budget.id, start_us, threshold)
        for (budget_id, start_us), spent_pico in spent_by_period(budgets, spend).items()
        for budget in budgets
        if budget.id == budget_id
        for pico, threshold in budget.steps()
        if spent_pico >= pico
    }
    # One that was on its way is written again: its id is the same, so it is delivered once.
    assert {(c.budget.id, c.period_start_us, c.threshold) for c in world.alerts} == expected


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_a_new_log_continues_with_the_rows_of_the_store(seed):
    world, first, budgets = live_through(seed, corrections=False)
    world.lose_the_log()
    second = Stage1(world.rng, corrections=False)
    second.write(world.log, world.rng.randint(1, 20))
    work_off(world, budgets)

    both = Stage1(world.rng, corrections=False)
    both.records = {source: first.records[source] + second.records[source] for source in (0, 1)}
    assert stored_totals(world) == both.totals()
    alerted = [crossing.id for crossing in world.alerts]
    assert len(alerted) == len(set(alerted))
