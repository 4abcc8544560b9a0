"""Totals are exact, whenever workers crash."""

import random

import pytest

from tests.simulation.fresh_seeds import fresh_seeds
from tests.simulation.project_load import Stage1
from tests.simulation.project_world import Crash, Worker, World, stored_totals

SEEDS = [*range(60), *fresh_seeds(40)]


ACTIONS = [
    Worker.read_one,
    Worker.read_one,
    Worker.read_one,
    Worker.flush,
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
    work_off(world)
    return world, source


def work_off(world: World):
    rng, crash_rate = world.rng, world.crash_rate
    for _ in range(rng.randint(0, 60)):
        try:
            worker = Worker(world)
            for _ in range(rng.randint(1, 60)):
                rng.choice(ACTIONS)(worker)
        except Crash:
            for _ in range(rng.randint(0, 3)):
                world.deliver_late()
            continue
    world.crash_rate = 0.0
    Worker(world).finish()
    world.crash_rate = crash_rate


@pytest.mark.parametrize("corrections", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_totals_are_exact(seed, corrections):
    world, source = live_through(seed, corrections=corrections)
    assert stored_totals(world) == source.totals()


@pytest.mark.parametrize("seed", SEEDS)
def test_late_records_of_stopped_workers_change_no_total(seed):
    world, source = live_through(seed, corrections=True, writes_late=True)
    assert stored_totals(world) == source.totals()
    while any(world.late):
        world.deliver_late()
    world.sink_all()
    assert stored_totals(world) == source.totals()
    work_off(world)
    assert stored_totals(world) == source.totals()


@pytest.mark.parametrize("seed", SEEDS[::5])
def test_a_new_log_continues_with_the_rows_of_the_store(seed):
    world, first = live_through(seed, corrections=False)
    world.lose_the_log()
    second = Stage1(world.rng, corrections=False)
    second.write(world.log, world.rng.randint(1, 20))
    work_off(world)

    both = Stage1(world.rng, corrections=False)
    both.records = {source: first.records[source] + second.records[source] for source in (0, 1)}
    assert stored_totals(world) == both.totals()
