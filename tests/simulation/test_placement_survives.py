"""Events without a trace id reach the trace of their observation, whatever crashes in between."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from streams.core.placement.waiting import WaitingLimits
from tests.simulation.fresh_seeds import fresh_seeds
from tests.simulation.placement_world import LIMITS, World
from tracemill.contract import Observation, Score

SEEDS = [*range(60), *fresh_seeds(40)]


def update(name: str, observation_id: str, parent_id: str | None = None) -> Observation:
    return Observation(
        project_id="p",
        trace_id=observation_id,
        id=observation_id,
        ts_us=1,
        partial=True,
        name=name,
        parent_id=parent_id,
    )


def score(name: str, observation_id: str) -> Score:
    return Score(
        project_id="p", id=name, ts_us=1, name=name, data_type="NUMERIC", value=1.0,
        trace_id=observation_id, observation_id=observation_id,
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_every_event_is_placed_in_the_trace_of_its_observation(seed: int) -> None:
    chance = Random(seed)
    world = World(chance)
    expected: dict[str, str] = {}
    for number in range(chance.randrange(1, 12)):
        observation_id, trace_id = f"o{number}", f"t{number % 4}"
        names = (f"u{number}", f"s{number}", f"c{number}")
        create = partial(
            world.create, "p", observation_id, trace_id, chance.choice((0, 300, 1_500))
        )
        ask = partial(
            world.update,
            update(names[0], observation_id),
            score(names[1], observation_id),
            update(names[2], f"child{number}", observation_id),
        )
        if chance.random() < 0.25:  # nobody creates it
            steps = [ask]
            own = (observation_id, observation_id, f"child{number}")
            expected |= dict(zip(names, own, strict=True))
        else:
            steps = [create, ask]
            expected |= dict.fromkeys(names, trace_id)
        chance.shuffle(steps)
        for each in steps:
            each()
            for _ in range(chance.randrange(6)):
                world.step()
    world.run()
    assert world.placed() == {name: {trace_id} for name, trace_id in expected.items()}


def test_the_deadline_counts_from_the_first_record_although_events_are_written_again() -> None:
    world = World(Random(1), crash_share=0.3)
    world.update(update("u", "o"))
    begun_us = world.now_us
    world.run()
    assert world.placed() == {"u": {"o"}}
    assert LIMITS.wait_max_us <= world.now_us - begun_us < 3 * LIMITS.wait_max_us
    assert len(world.unplaced) > 3


def test_above_the_limit_the_oldest_of_the_project_with_the_most_is_placed() -> None:
    limits = WaitingLimits(wait_max_us=10**9, waiting_max=3, record_age_max_us=10**9)
    world = World(Random(1), limits, crash_share=0.0)
    other = update("other", "x")
    other.project_id = "q"
    world.update(other)
    for number in range(5):
        world.update(update(f"u{number}", f"o{number}"))
    for _ in range(30):
        world.step()
    assert world.placed() == {"u0": {"o0"}, "u1": {"o1"}, "u2": {"o2"}}
    assert world.outcomes["o0"] == {"waiting_max"}
    assert world.committed == 0, "the other project's event still waits"
