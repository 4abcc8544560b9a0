"""If too many groups change for one flush, the states of some of them wait."""

from __future__ import annotations

import tracemalloc

import msgspec

from clickhouse.rows import BudgetStateRow
from streams.core.alerting.evaluator import State
from streams.core.budgets.limit_set import LimitSet
from streams.core.budgets.pending_states import PendingStates
from tests.streams.budgets.budget_world import NOON_US, USD, Running, budget, spend

SMALL = USD // 1_000
SECOND_US = 1_000_000


def running(**fields: object) -> Running:
    world = Running(budget(group_by=("user_id",), **fields), states_delay_max_s=10)
    world.settle()
    world.flush()
    return world


def users_of(states: list[State]) -> list[str]:
    rows = [row for row in (state.row for state in states) if isinstance(row, BudgetStateRow)]
    return [msgspec.json.decode(row.group)["user_id"] for row in rows if row.group]


def test_those_that_wait_for_longest_are_written_first() -> None:
    world = running()
    world.add(spend(SMALL, user="a"), spend(SMALL, user="b"))
    assert len(users_of(world.book.take_states(1))) == 1
    world.add(spend(SMALL, user="c"))
    first_two = users_of(world.book.take_states(1))
    assert set(first_two) < {"a", "b"}
    assert users_of(world.book.take_states(1)) == ["c"]
    assert world.book.take_states(1) == []


def test_a_state_that_changes_while_it_waits_is_written_once() -> None:
    world = running()
    for _ in range(3):
        world.add(spend(SMALL, user="a"))
        assert world.book.take_states(0) == []
    (state,) = world.book.take_states(1)
    assert isinstance(state.row, BudgetStateRow)
    assert state.row.spent_pico == 3 * SMALL


def test_changes_are_written_up_to_the_oldest_that_waits() -> None:
    world = running()
    world.add(spend(SMALL, user="a"))
    world.book.take_states()
    assert world.book.written_to is None
    world.add(spend(SMALL, user="b"))
    world.book.take_states(0)
    world.add(spend(SMALL, user="c"))
    world.book.take_states(0)
    assert world.book.written_to == 0
    world.book.take_states(1)
    assert world.book.written_to == 1
    world.book.take_states(1)
    assert world.book.written_to is None


def test_groups_that_approach_or_reach_their_limit_do_not_wait() -> None:
    world = running(thresholds=("0.1",))
    world.add(spend(USD // 4, user="far"), spend(USD * 6 // 10, user="close"))
    world.add(spend(USD * 2, user="over"))
    first = users_of(world.book.take_states(0))
    assert sorted(first) == ["close", "far", "over"], "a threshold is crossed"
    world.add(spend(SMALL, user="far"), spend(SMALL, user="close"), spend(SMALL, user="over"))
    assert users_of(world.book.take_states(0)) == ["close"]
    world.add(spend(USD, user="close"))
    assert users_of(world.book.take_states(0)) == ["close"], "its limit is reached"
    world.add(spend(SMALL, user="close"))
    assert users_of(world.book.take_states(0)) == []


def test_a_state_waits_for_a_limited_time() -> None:
    world = running()
    world.add(spend(SMALL, user="a"))
    assert world.book.take_states(0) == []
    world.tick(NOON_US + 8 * SECOND_US)
    assert world.book.take_states(0) == []
    world.add(spend(SMALL, user="b"))
    assert world.book.take_states(0) == []
    world.tick(NOON_US + 12 * SECOND_US)
    assert users_of(world.book.take_states(0)) == ["a"]
    world.tick(NOON_US + 30 * SECOND_US)
    assert users_of(world.book.take_states(0)) == ["b"]


def test_the_state_of_a_limit_follows_those_of_all_groups() -> None:
    world = running()
    world.add(spend(SMALL, user="a"))
    world.put(budget("other", group_by=("user_id",), period="hour"))
    world.settle({"a": SMALL})
    states = world.book.take_states(0)
    assert users_of(states).count("a") == 2
    last = states[-1].row
    assert isinstance(last, BudgetStateRow)
    assert last.group == ""


def test_flushes_without_changes_of_budgets_take_no_memory() -> None:
    limits = LimitSet(lambda *_: "", lambda _: None, usual_retry_s=1.0)
    pending = PendingStates(limits, delay_max_us=10 * SECOND_US)
    tracemalloc.start()
    try:
        for second in range(20_000):
            assert pending.take(0, second, second * SECOND_US) == []
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 100_000, "at most the flushes of the longest delay are remembered"
