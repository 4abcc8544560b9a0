"""Stage 1 is exact with duplicates, any order, crashes, outages of the store and small caches.

`TRACEMILL_SIMULATION_SEEDS=FIRST:LAST` runs other seeds.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from random import Random

import pytest

from streams.core.observations.scores import version_of
from streams.observations.settings import StreamsSettings
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.fresh_seeds import named_seed
from tests.simulation.stage1_events import MIDNIGHT_US, random_events
from tests.simulation.stage1_world import TOPICS, World
from tracemill.contract import Event, Observation, Score, decode_event, encode_event

SEEDS = range(*map(int, os.environ.get("TRACEMILL_SIMULATION_SEEDS", "0:200").split(":")))
DEADLINE_S = 60


@pytest.mark.parametrize("first", SEEDS[::25])
def test_everything_written_is_what_the_set_of_events_says(first: int) -> None:
    for seed in range(first, min(first + 25, SEEDS.stop)):
        with named_seed(seed):
            asyncio.run(asyncio.wait_for(survive(seed), DEADLINE_S))


async def survive(seed: int, *, outages: bool = False) -> None:
    chance = Random(seed)
    events = random_events(chance, chance.randint(1, 60))
    world = World(chance)
    world.writes_late = seed % 2 == 1
    world.source = in_records(chance, events)
    defers = outages or seed % 4 >= 2
    if defers:
        world.arriving.extend(world.source[1:])
        del world.source[1:]
    settings = StreamsSettings(
        chunk_records_max=chance.randint(1, 6),
        chunk_linger_ms=0,
        chunks_in_flight_max=chance.randint(1, 3),
        output_record_bytes=chance.choice((1024, 10_000)),
        resident_observations_max=chance.choice((1, 4) if outages else (1, 4, 10, 1000)),
        resident_text_bytes_max=chance.choice((10, 60, 200, 100_000)),
        resident_scores_max=chance.choice((1, 3, 1000)),
        seen_traces_max=chance.choice((1, 4, 1000)),
        # Which events a full trace refuses depends on their order, which deferral changes.
        trace_observations_max=1000 if defers else chance.choice((1, 2, 3, 1000)),
        store_wait_max_s=chance.choice((1e-6, 1e-4)) if defers else 1_000,
        deferred_records_max=chance.choice((1, 3, 1000)),
        trace_log_interval_s=chance.choice((1e-6, 1e-3, 1_000)),
        trace_log_records_max=chance.choice((1, 3, 1000)),
    )
    world.outage_rate = chance.choice((0.005, 0.02, 0.1) if outages else (0, 0, 0.02))
    for _ in range(chance.randrange(12 if outages else 6)):
        await world.live(settings, chance.randrange(400), gracefully=chance.random() < 0.3)
    world.outage_rate = 0.0
    world.store_is_up.set()
    await world.live(settings, None, gracefully=True)
    await world.sink_all()
    events = check_refusals(world, settings.trace_observations_max)
    check_observations(world, events)
    check_traces(world, events)
    check_scores(world, events)
    windows, spend = applied(world.deltas())
    assert windows == oracle.windows_of(events)
    assert spend == oracle.spend_of(events)


def in_records(chance: Random, events: list[Event]) -> list[tuple[int, bytes]]:
    """Put every event into records at least once, in any order, with the broker's times."""
    lines = [encode_event(event) for event in events]
    lines += chance.choices(lines, k=chance.randrange(len(lines) + 1))
    chance.shuffle(lines)
    records = []
    append_us = MIDNIGHT_US
    while lines:
        size = chance.randint(1, 5)
        append_us += chance.choice((-1, 0, 1, 2)) * 1_000  # the broker's clock may be set back
        records.append((append_us, b"\n".join(lines[:size])))
        lines = lines[size:]
    return records


def check_refusals(world: World, trace_observations_max: int) -> list[Event]:
    """Check that events of full traces are dead letters once; return the other events.

    Equal events of records that were received at the same time are one dead letter.
    """
    counted: list[Event] = []
    refused: Counter[tuple[int, bytes]] = Counter()
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for append_us, value in world.source:
        of_record: Counter[tuple[int, bytes]] = Counter()
        for event in map(decode_event, value.split(b"\n")):
            if isinstance(event, Observation):
                held = ids[event.project_id, event.trace_id]
                if event.id not in held and len(held) >= trace_observations_max:
                    of_record[append_us, encode_event(event)] += 1
                    continue
                held.add(event.id)
            counted.append(event)
        refused |= of_record
    rows = {row.id: row for row in world.dead_letters()}.values()
    found = Counter((row.created_us, encode_event(decode_event(row.payload))) for row in rows)
    assert found == refused
    return counted


def check_observations(world: World, events: list[Event]) -> None:
    expected = oracle.observations_of(events)
    rows = {(row.project_id, row.trace_id, row.id): row for row in world.rows(TOPICS.observations)}
    assert len(rows) == len(world.rows(TOPICS.observations)), "a row under two keys"
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        said = oracle.said_by_observation(row)
        assert said == oracle.expected(expected[key], said), key


def check_traces(world: World, events: list[Event]) -> None:
    expected = oracle.traces_of(events)
    rows = {(row.project_id, row.id): row for row in world.rows(TOPICS.traces)}
    assert len(rows) == len(world.rows(TOPICS.traces)), "a row under two keys"
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        said = oracle.said_by_trace(row)
        assert said == oracle.expected(expected[key], said), key


def check_scores(world: World, events: list[Event]) -> None:
    latest: dict[tuple[str, str], Score] = {}
    for event in events:
        if isinstance(event, Score):
            key = (event.project_id, event.id)
            if key not in latest or version_of(event) > version_of(latest[key]):
                latest[key] = event
    rows = world.rows(TOPICS.scores)
    stored = {(row.project_id, row.id): (row.event_us, row.value) for row in rows}
    assert len(stored) == len(rows), "a score under two keys"
    assert stored == {key: (score.ts_us, score.value) for key, score in latest.items()}
