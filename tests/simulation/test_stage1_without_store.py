"""Stage 1 starts and processes new traces while the store does not answer."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from streams.observations.settings import StreamsSettings
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.fresh_seeds import named_seed
from tests.simulation.stage1_events import MIDNIGHT_US
from tests.simulation.stage1_world import World
from tests.simulation.test_stage1_survives import (
    SEEDS,
    check_observations,
    check_traces,
    survive,
)
from tracemill.contract import Observation, encode_event

DEADLINE_S = 30
OUTAGE_SEEDS = SEEDS[: max(1, len(SEEDS) // 10)]
SETTINGS = StreamsSettings(
    chunk_records_max=3,
    chunk_linger_ms=0,
    resident_observations_max=4,
    trace_log_interval_s=1e-6,
    store_wait_max_s=1e-3,
)


def call(trace: str, number: int) -> Observation:
    at_us = MIDNIGHT_US + number
    return Observation(
        project_id="p1", trace_id=trace, id=f"o{number}", ts_us=at_us, start_us=at_us,
        type="GENERATION", name="answer", model="cheap", usage={"input": 10, "output": 2},
    )  # fmt: skip


def append(world: World, *events: Observation) -> None:
    world.source += [(MIDNIGHT_US, encode_event(event)) for event in events]


def check_exact(world: World, events: list[Observation]) -> None:
    check_observations(world, events)
    check_traces(world, events)
    windows, spend = applied(world.deltas())
    assert windows == oracle.windows_of(events)
    assert spend == oracle.spend_of(events)


async def survive_outage(seed: int) -> None:
    world = World(Random(seed))
    world.lost_rows_rate = 0.0
    old = [call(f"old-{n}", n) for n in range(20)]
    append(world, *old)
    await world.live(SETTINGS, None, gracefully=False)
    await world.sink_all()

    world.toggle_store()
    new = [call(f"new-{n}", 100 + n) for n in range(20)]
    append(world, *new)
    await world.live(SETTINGS, None, gracefully=False)  # returns when all are processed

    late = [call(f"old-{n}", 200 + n) for n in range(20)]
    newest = [call(f"newest-{n}", 300 + n) for n in range(20)]
    world.more_to_come = True
    life = asyncio.create_task(world.live(SETTINGS, None, gracefully=False))
    while world.restored < 3:  # noqa: ASYNC110  # the simulation has no event for it
        await asyncio.sleep(0)
    append(world, *late, *old, *newest)
    while world.acknowledged < len(world.source):  # noqa: ASYNC110
        await asyncio.sleep(0)
    windows, _ = applied(world.deltas())
    assert windows != oracle.windows_of([*old, *new, *late, *newest]), "some events wait"
    world.more_to_come = False
    world.toggle_store()
    await life
    await world.live(SETTINGS, None, gracefully=True)
    await world.sink_all()
    check_exact(world, [*old, *new, *late, *newest])


def test_new_traces_are_processed_after_a_start_without_the_store() -> None:
    for seed in range(10):
        asyncio.run(asyncio.wait_for(survive_outage(seed), DEADLINE_S))


@pytest.mark.parametrize("first", OUTAGE_SEEDS[::5])
def test_totals_are_exact_after_outages_and_crashes(first: int) -> None:
    for seed in OUTAGE_SEEDS[first - OUTAGE_SEEDS.start :][:5]:
        with named_seed(seed):
            asyncio.run(asyncio.wait_for(survive(seed, outages=True), DEADLINE_S))
