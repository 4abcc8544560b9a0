"""Events that make stage 1 fail become one dead letter each, and everything else is exact.

The test plants the failures: the name of an event makes a step raise before a change, during a
change, when rows are built or encoded, or when they are read back.
`TRACEMILL_SIMULATION_SEEDS=FIRST:LAST` runs other seeds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import msgspec
import pytest

from streams.core.observations import encoding, events, trace_fields, traces
from streams.core.observations.failures import PROCESSING_FAILED
from streams.core.rollups import contributions
from streams.observations.settings import StreamsSettings
from tests.simulation import stage1_oracle as oracle
from tests.simulation.applied_deltas import applied
from tests.simulation.fresh_seeds import named_seed
from tests.simulation.stage1_events import random_events
from tests.simulation.stage1_world import TOPICS, World
from tests.simulation.test_stage1_survives import (
    DEADLINE_S,
    SEEDS,
    check_observations,
    check_scores,
    check_traces,
    in_records,
)
from tests.streams.stage1.stage1_folding import NOW_US, observation
from tracemill.contract import Event, Observation, decode_event, encode_event

STEPS = ("price", "count", "trace-row", "delta", "encode-observation")


class PlantedError(Exception):
    """Raised by a step for the events that are meant to fail there."""


@pytest.fixture(autouse=True)
def _steps_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    price_row, swap = events.price_row, events.EventFold._swap
    trace_row, delta = traces.Trace.row, contributions.DeltaBook.delta
    merge, encode = trace_fields.TraceFields.merge, encoding._encoder.encode_into

    def failing_price_row(row, *rest):
        _fail_if(row.name == "fail-price")
        return price_row(row, *rest)

    def failing_swap(self, trace, book, old, new):
        swap(self, trace, book, old, new)
        _fail_if(new.name == "fail-count")

    def failing_trace_row(self):
        _fail_if(any(known.name == "fail-trace-row" for known in self.observations.values()))
        return trace_row(self)

    def failing_delta(self, *place):
        made = delta(self, *place)
        _fail_if(made is not None and any(each.name == "fail-delta" for each in made.windows))
        return made

    def failing_merge(self, attributes, *rest):
        changed = merge(self, attributes, *rest)
        _fail_if(attributes.session_id == "fail-statement")
        return changed

    class FailingEncoder:
        def encode_into(self, row, buffer, offset):
            _fail_if(
                getattr(row, "name", "") == "fail-encode-observation" and hasattr(row, "parent_id")
            )
            _fail_if(getattr(row, "release", "") == "fail-encode-trace")
            encode(row, buffer, offset)

    monkeypatch.setattr(events, "price_row", failing_price_row)
    monkeypatch.setattr(events.EventFold, "_swap", failing_swap)
    monkeypatch.setattr(traces.Trace, "row", failing_trace_row)
    monkeypatch.setattr(contributions.DeltaBook, "delta", failing_delta)
    monkeypatch.setattr(trace_fields.TraceFields, "merge", failing_merge)
    monkeypatch.setattr(encoding, "_encoder", FailingEncoder())


def _fail_if(planted: bool) -> None:
    if planted:
        raise PlantedError("planted")


@pytest.mark.parametrize("first", SEEDS[::25])
def test_an_event_that_raises_is_set_aside_alone(first: int) -> None:
    for seed in range(first, min(first + 25, SEEDS.stop)):
        with named_seed(seed):
            asyncio.run(asyncio.wait_for(_survive(seed), DEADLINE_S))


def test_a_chunk_of_many_traces_that_do_not_encode_is_isolated_without_a_restart() -> None:
    asyncio.run(asyncio.wait_for(_survive_failing_traces(), DEADLINE_S))


async def _survive_failing_traces() -> None:
    chance = Random(7)
    failing = [
        observation(f"o{at}", trace_id=f"t{at}", name="fail-encode-observation") for at in range(40)
    ]
    good = observation("good", trace_id="good")
    world = World(chance)
    world.source = [(NOW_US, b"\n".join(map(encode_event, [*failing, good])))]
    await world.live(StreamsSettings(chunk_linger_ms=0), None, gracefully=True)
    await world.sink_all()
    assert len(world.dead_letters()) == len(failing)
    assert [row.id for row in world.rows(TOPICS.observations)] == ["good"]


async def _survive(seed: int) -> None:
    chance = Random(seed)
    planted = [
        _planted(chance, event) if chance.random() < 0.3 else event
        for event in random_events(chance, chance.randint(1, 40))
    ]
    world = World(chance)
    world.source = in_records(chance, planted)
    settings = StreamsSettings(
        chunk_records_max=chance.randint(1, 6),
        chunk_linger_ms=0,
        chunks_in_flight_max=chance.randint(1, 3),
        output_record_bytes=chance.choice((1024, 10_000)),
        resident_observations_max=chance.choice((1, 4, 1000)),
        resident_text_bytes_max=chance.choice((10, 200, 100_000)),
        seen_traces_max=chance.choice((1, 4, 1000)),
    )
    for _ in range(chance.randrange(4)):
        await world.live(settings, chance.randrange(400), gracefully=chance.random() < 0.3)
    await world.live(settings, None, gracefully=True)
    await world.sink_all()
    counted = _without_set_aside(world)
    check_observations(world, counted)
    check_traces(world, counted)
    check_scores(world, counted)
    windows, spend = applied(world.deltas())
    assert windows == oracle.windows_of(counted)
    assert spend == oracle.spend_of(counted)


def _planted(chance: Random, event: Event) -> Event:
    attributes = getattr(event, "trace", None)
    if attributes is not None and chance.random() < 0.5:
        planted = chance.choice(
            ({"session_id": "fail-statement"}, {"release": "fail-encode-trace"})
        )
        return msgspec.structs.replace(event, trace=msgspec.structs.replace(attributes, **planted))
    if isinstance(event, Observation):
        return msgspec.structs.replace(event, name=f"fail-{chance.choice(STEPS)}")
    return event


def _without_set_aside(world: World) -> list[Event]:
    """Return the events that count; check that dead letters are planted ones, one per occurrence.

    Equal events of records that were received at the same time are one dead letter.
    """
    rows = {row.id: row for row in world.dead_letters()}.values()
    set_aside = Counter((row.created_us, encode_event(decode_event(row.payload))) for row in rows)
    for row in rows:
        assert "fail-" in row.payload, "a good event was set aside"
        assert row.reason == PROCESSING_FAILED
        assert row.detail.startswith("PlantedError: planted")
        assert row.source_topic == TOPICS.events
    counted: list[Event] = []
    unexplained = +set_aside
    for append_us, value in world.source:
        left = Counter(set_aside)
        for event in map(decode_event, value.split(b"\n")):
            place = append_us, encode_event(event)
            if left[place]:
                left[place] -= 1
                unexplained[place] = min(unexplained[place], left[place])
            else:
                counted.append(event)
    assert not +unexplained, "a dead letter too many"
    return counted
