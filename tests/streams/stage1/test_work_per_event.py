"""The time per event does not grow with the size of its trace or observation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from streams.core.observations.fold import FoldLimits
from streams.core.observations.limits import METADATA_KEYS_MAX
from streams.core.pricing.valuation import NoTokens
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, Folding, last_row, observation
from tracemill.contract import Event, TraceAttributes, TraceUpdate

FEW, MANY = 200, 19_990
RATIO_MAX = 3.0
LATER_US = 1_000_000
ROUNDS = 5
EVENTS = 100


def told(ts: int, **said: object) -> TraceUpdate:
    return TraceUpdate(
        project_id="p", trace_id="t", ts_us=NOW_US + LATER_US + ts, trace=TraceAttributes(**said)
    )


def roomy() -> Folding:
    return Folding(FoldLimits(10**6, 2**30, 10, LIMITS.dead_letters, trace_observations_max=10**6))


def crowd(observations: int, *, parent_of_all: bool = False) -> Folding:
    """A trace of so many observations; the first is its root, unless all have a parent."""
    folding = roomy()
    for first in range(0, observations, 2_000):
        folding.fold(
            *(
                observation(
                    f"o{n}",
                    start_us=NOW_US + n,
                    end_us=NOW_US + n + 5,
                    parent_id="above" if n or parent_of_all else None,
                    model="m",
                    cost={"total": 5},
                )
                for n in range(first, min(first + 2_000, observations))
            )
        )
    return folding


def cost_s(folding: Folding, event: Callable[[int], Event]) -> float:
    """Return the least time of one event over several runs."""
    folding.fold(event(0))
    best_s = float("inf")
    number = 1
    for _ in range(ROUNDS):
        events = [event(number + n) for n in range(EVENTS)]
        number += EVENTS
        began_s = time.process_time()
        for start in range(0, EVENTS, 10):
            folding.fold(*events[start : start + 10])
        best_s = min(best_s, time.process_time() - began_s)
    return best_s / EVENTS


def again(id_: str, ts: int, **said: object) -> Event:
    return observation(id_, LATER_US + ts, parent_id="above", cost={"total": 5}, **said)


CHANGES: dict[str, Callable[[int, int], Event]] = {
    "its user": lambda _, ts: told(ts, user_id=f"u{ts % 2}"),
    "a key of its metadata": lambda _, ts: told(ts, metadata=json.dumps({f"k{ts % 7}": ts})),
    "the observation that began first": lambda _, ts: again("o0", ts, start_us=NOW_US + ts % 2),
    "its root": lambda _, ts: observation("o0", LATER_US + ts, start_us=NOW_US + ts % 3),
    "the observation that ended last": lambda size, ts: again(
        f"o{size - 1}", ts, start_us=NOW_US + size, end_us=NOW_US + size + 5 + ts % 3
    ),
    "one observation, in part": lambda size, ts: observation(
        f"o{size // 2}", LATER_US + ts, partial=True, name=f"n{ts}"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_costs_no_more_in_a_trace_of_very_many_observations(change: str) -> None:
    event = CHANGES[change]
    few_s = cost_s(crowd(FEW), lambda ts: event(FEW, ts))
    many_s = cost_s(crowd(MANY), lambda ts: event(MANY, ts))
    assert many_s < RATIO_MAX * few_s + 20e-6, (few_s, many_s)


def test_a_trace_without_a_root_finds_its_environment_without_looking_at_all() -> None:
    few_s, many_s = (
        cost_s(crowd(size, parent_of_all=True), lambda ts: again("o1", ts, start_us=NOW_US + 1))
        for size in (FEW, MANY)
    )
    assert many_s < RATIO_MAX * few_s + 20e-6, (few_s, many_s)


def test_spend_is_reattributed_once_however_often_the_user_changes_in_a_record() -> None:
    folding = roomy()
    for first in range(0, 5_000, 500):
        folding.fold(
            *(
                observation(f"o{n}", model=f"m{n}", cost={"total": 1})
                for n in range(first, first + 500)
            )
        )
    deltas = folding.fold(*(told(ts, user_id=f"u{ts}") for ts in range(1_000))).deltas
    spend = [change for delta in deltas for change in delta.spend]
    assert len(spend) == 2 * 5_000
    assert {change.user_id for change in spend} == {"", "u999"}


def test_keys_beyond_the_limit_do_not_slow_an_update() -> None:
    costs = []
    for keys in (METADATA_KEYS_MAX, 150_000):
        folding = roomy()
        folding.fold(told(0, metadata=json.dumps({f"k{n}": n for n in range(keys)})))
        costs.append(cost_s(folding, lambda ts: told(ts, metadata=f'{{"k{ts % 9}":{ts}}}')))
    assert costs[1] < RATIO_MAX * costs[0] + 20e-6, costs


class Watching(NoTokens):
    """Counts characters, and notes which texts it counted."""

    def __init__(self) -> None:
        self.counted: list[int] = []

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        self.counted += [len(text) for text in (input_text, output_text) if text]
        counts = {"input": len(input_text), "output": len(output_text)}
        return {side: count for side, count in counts.items() if count}


def test_a_partial_update_counts_tokens_of_changed_texts_only() -> None:
    tokens = Watching()
    folding = Folding(FoldLimits(100, 2**20, 10, LIMITS.dead_letters), tokens)
    said = {"type": "GENERATION", "model": "m", "partial": True}
    folding.fold(observation(input="i" * 500, output="o" * 30, **said))
    assert tokens.counted == [500, 30]
    row = last_row(folding.fold(*(observation(ts=n, partial=True, name=f"n{n}") for n in range(9))))
    assert tokens.counted == [500, 30]
    assert (row.usage, row.usage_estimated) == ({"input": 500, "output": 30, "total": 530}, 1)
    row = last_row(folding.fold(observation(ts=20, partial=True, output="p" * 7)))
    assert tokens.counted == [500, 30, 7]
    assert row.usage["total"] == 507
    row = last_row(folding.fold(observation(ts=30, partial=True, model="gold")))
    assert tokens.counted == [500, 30, 7, 500, 7]
    row = last_row(folding.fold(observation(ts=40, partial=True, usage={"input": 1})))
    assert (row.usage["total"], row.usage_estimated) == (1, 0)
