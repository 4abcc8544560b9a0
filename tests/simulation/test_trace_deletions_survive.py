"""A deleted trace counts nowhere, with late events, any order, crashes, outages and small caches.

`TRACEMILL_SIMULATION_SEEDS=FIRST:LAST` runs other seeds.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import msgspec
import pytest

from clickhouse.trace_deletion_rows import TraceDeletionRow
from streams.observations.settings import HOUR_US, StreamsSettings
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.deletions_oracle import Counted
from tests.simulation.fresh_seeds import named_seed
from tests.simulation.stage1_events import MIDNIGHT_US, PROJECTS, random_events
from tests.simulation.stage1_world import TOPICS, World
from tests.simulation.test_stage1_survives import (
    check_observations,
    check_scores,
    check_traces,
    in_records,
)
from tracemill.contract import Event, Score, TraceDeletion

SEEDS = range(*map(int, os.environ.get("TRACEMILL_SIMULATION_SEEDS", "0:60").split(":")))
DEADLINE_S = 60
FOREVER_H = 168.0


@pytest.mark.parametrize("first", SEEDS[::20])
def test_deleted_traces_count_nowhere(first: int) -> None:
    for seed in range(first, min(first + 20, SEEDS.stop)):
        with named_seed(seed):
            asyncio.run(asyncio.wait_for(survive(seed), DEADLINE_S))


async def survive(seed: int) -> None:
    chance = Random(seed)
    traces = chance.choice((2, 5))
    world = World(chance)
    world.writes_late = seed % 2 == 1
    defers = seed % 4 >= 2
    settings = StreamsSettings(
        chunk_records_max=chance.randint(1, 6),
        chunk_linger_ms=0,
        chunks_in_flight_max=chance.randint(1, 3),
        output_record_bytes=chance.choice((1024, 10_000)),
        resident_observations_max=chance.choice((1, 4, 10, 1000)),
        resident_text_bytes_max=chance.choice((10, 60, 200, 100_000)),
        resident_scores_max=chance.choice((1, 3, 1000)),
        seen_traces_max=chance.choice((1, 4, 1000)),
        deleted_trace_memory_h=chance.choice((1.0, FOREVER_H)),
        store_wait_max_s=chance.choice((1e-6, 1e-4)) if defers else 1_000,
        deferred_records_max=chance.choice((1, 3, 1000)),
        trace_log_interval_s=chance.choice((1e-6, 1e-3, 1_000)),
        trace_log_records_max=chance.choice((1, 3, 1000)),
        chunk_deletions_max=chance.choice((1, 2, 8)),
    )
    for hours in range(0, 3 * chance.randint(1, 2), 3):
        records = in_records(chance, random_events_and_deletions(chance, traces))
        records = [(append_us + hours * HOUR_US, value) for append_us, value in records]
        world.arriving.extend(records)
        if not defers or not world.source:
            world.source += [world.arriving.popleft() for _ in range(1 if defers else len(records))]
        await process(world, settings, outages=defers)
    check(world, int(settings.deleted_trace_memory_h * HOUR_US), defers=defers)


def random_events_and_deletions(chance: Random, traces: int) -> list[Event]:
    events = random_events(chance, chance.randint(1, 40), traces)
    return [*events, *(deletion(chance, traces) for _ in range(chance.randint(0, 5)))]


async def process(world: World, settings: StreamsSettings, *, outages: bool) -> None:
    """Run workers that crash, and a last one that processes all records."""
    chance = world.chance
    world.outage_rate = chance.choice((0, 0.005, 0.02)) if outages else 0.0
    for _ in range(chance.randrange(8)):
        await world.live(settings, chance.randrange(400), gracefully=chance.random() < 0.3)
    world.outage_rate = 0.0
    world.store_is_up.set()
    await world.live(settings, None, gracefully=True)
    await world.sink_all()


def deletion(chance: Random, traces: int) -> TraceDeletion:
    return TraceDeletion(
        project_id=chance.choice(PROJECTS),
        trace_id=f"t{chance.randrange(traces)}",
        ts_us=MIDNIGHT_US,
        api_key=chance.choice(("pk-1", None)),
    )


def check(world: World, memory_us: int, *, defers: bool) -> None:
    counted = Counted(world.source, memory_us)
    check_observations(world, counted.events)
    check_traces(world, counted.events)
    windows, spend = applied(world.deltas())
    assert windows == oracle.windows_of(counted.events)
    assert spend == oracle.spend_of(counted.events)
    if not defers:  # scores are not deferred, so they may precede a deletion that is
        check_scores(world, [each for each in counted.events if isinstance(each, Score)])
    rows = [
        msgspec.json.decode(line, type=TraceDeletionRow)
        for record in world.logs[TOPICS.trace_deletions, 0]
        for line in record.value.split(b"\n")
    ]
    assert {(row.project_id, row.trace_id) for row in rows} == counted.deleted.keys()
    versions = {(row.project_id, row.trace_id, row.row_version): row for row in rows}
    assert all(row == versions[row.project_id, row.trace_id, row.row_version] for row in rows)
