"""The time up to which all spend is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from query_api.decisions.freshness import ENDS_MAX, Freshness


def test_a_time_is_reached_when_all_that_was_there_is_evaluated() -> None:
    freshness = Freshness()
    assert freshness.as_of_us is None
    freshness.ended_at(10, 3)
    freshness.evaluated(2)
    assert freshness.as_of_us is None
    freshness.ended_at(20, 5)
    freshness.evaluated(4)
    assert freshness.as_of_us == 10
    freshness.ended_at(30, 5)
    freshness.evaluated(5)
    assert freshness.as_of_us == 30


def test_without_traffic_it_stays_current() -> None:
    freshness = Freshness()
    for at_us in range(100):
        freshness.ended_at(at_us, 0)
        freshness.evaluated(0)
        assert freshness.as_of_us == at_us


def test_a_stage_that_stands_still_costs_no_memory() -> None:
    freshness = Freshness()
    for at_us in range(3 * ENDS_MAX):
        freshness.ended_at(at_us, at_us)
    freshness.evaluated(10 * ENDS_MAX)
    assert freshness.as_of_us == 3 * ENDS_MAX - 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_it_never_claims_more_than_is_evaluated(steps: list[tuple[int, int]]) -> None:
    freshness, end, evaluated = Freshness(), 0, 0
    ends: list[int] = []
    for at_us, (appended, applied) in enumerate(steps):
        end += appended
        ends.append(end)
        freshness.ended_at(at_us, end)
        evaluated = min(end, evaluated + applied)
        freshness.evaluated(evaluated)
        reached = [at for at, known in enumerate(ends) if known <= evaluated]
        assert freshness.as_of_us == max(reached, default=None)
