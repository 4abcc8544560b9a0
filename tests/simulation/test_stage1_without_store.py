"""Stage 1 starts and processes new traces while the store does not answer."""

from __future__ import annotations

import asyncio
from random import Random

from streams.observations.settings import StreamsSettings
from tests.simulation import stage1_oracle as oracle
from tests.simulation.stage1_events import MIDNIGHT_US
from tests.simulation.stage1_world import World, applied
from tests.simulation.test_stage1_survives import check_observations, check_traces
from tracemill.contract import Observation, encode_event

DEADLINE_S = 30
SETTINGS = StreamsSettings(
    chunk_records_max=3,
    chunk_linger_ms=0,
    resident_observations_max=4,
    trace_log_interval_s=1e-6,
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
    append(world, *late, *old)
    await world.live(SETTINGS, 300, gracefully=False)
    assert world.acknowledged < len(world.source), "an evicted trace was processed without its rows"
    world.toggle_store()
    await world.live(SETTINGS, None, gracefully=True)
    await world.sink_all()
    check_exact(world, [*old, *new, *late])


def test_new_traces_are_processed_after_a_start_without_the_store() -> None:
    for seed in range(10):
        asyncio.run(asyncio.wait_for(survive_outage(seed), DEADLINE_S))
