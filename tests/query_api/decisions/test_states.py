"""What groups have spent in their current period, as the records of the topic leave it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.budgets.groups import group_text
from query_api.decisions.states import SpentStates
from tests.query_api.counting import reached

DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US + DAY_US // 2
TODAY = NOW_US // DAY_US


def record(day: int = TODAY, spent: int = 1, **fields: Any) -> bytes:
    """Return a state of a daily budget."""
    given: dict[str, Any] = {
        "project_id": "p",
        "budget_id": "b",
        "period": "day",
        "period_start_us": day * DAY_US,
        "period_end_us": (day + 1) * DAY_US,
        "group": '{"user_id":"u"}',
        "spent_pico": spent,
        "updated_us": NOW_US,
        "row_version": 1,
    }
    return msgspec.json.encode(given | fields)


def spent(states: SpentStates, now_us: int = NOW_US, group: str = '{"user_id":"u"}') -> int | None:
    state = states.of_rule(("b", ""), "day", group, now_us)
    return None if state is None or state.end_us <= now_us else state.spent_pico


def test_the_last_record_of_a_period_is_valid() -> None:
    states = SpentStates(10)
    assert spent(states) is None
    for amount in (5, 9, 3):  # a correction lowers spend
        states.apply(record(spent=amount), NOW_US)
    assert spent(states) == 3
    assert len(states) == 1


def test_a_new_period_begins_with_nothing_spent() -> None:
    states = SpentStates(10)
    states.apply(record(spent=5), NOW_US)
    assert spent(states, NOW_US + DAY_US) is None
    states.apply(record(TODAY + 1, spent=2), NOW_US + DAY_US)
    states.apply(record(TODAY, spent=6), NOW_US + DAY_US)  # a late correction of yesterday
    assert spent(states, NOW_US + DAY_US) == 2


def test_a_period_that_has_not_begun_does_not_replace_the_current_one() -> None:
    states = SpentStates(10)
    states.apply(record(spent=5), NOW_US)
    states.apply(record(TODAY + 1, spent=1), NOW_US)  # a clock that is ahead
    states.apply(record(spent=7), NOW_US)
    assert spent(states) == 7
    assert spent(states, NOW_US + DAY_US) == 1
    states.apply(record(TODAY + 1, spent=4), NOW_US + DAY_US)
    assert spent(states, NOW_US + DAY_US) == 4


@given(st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 9)), max_size=12))
def test_each_period_has_the_amount_of_its_last_record(records: list[tuple[int, int]]) -> None:
    states = SpentStates(10)
    last: dict[int, int] = {}
    for day, amount in records:
        states.apply(record(TODAY + day, amount), NOW_US)
        last[day] = amount
    assert spent(states) == last.get(0)
    assert spent(states, NOW_US + DAY_US) == last.get(1)


def test_groups_are_the_same_however_they_are_encoded() -> None:
    states = SpentStates(10)
    states.apply(record(group='{"user_id": "\\u00fc", "model": "m"}'), NOW_US)
    assert spent(states, group=group_text({"model": "m", "user_id": "ü"})) == 1


def test_a_budget_whose_period_was_changed_has_no_state_until_it_is_evaluated() -> None:
    states = SpentStates(10)
    states.apply(record(period="month"), NOW_US)
    assert spent(states) is None
    states.apply(record(spent=2, updated_us=NOW_US + 1), NOW_US)
    assert spent(states) == 2


def test_states_are_limited_and_a_budget_that_lost_some_is_known() -> None:
    states = SpentStates(1)
    before = reached("budget_states_max")
    states.apply(record(), NOW_US)
    states.apply(record(group="{}"), NOW_US)
    states.apply(record(spent=4), NOW_US)
    assert spent(states) == 4
    assert len(states) == 1
    assert reached("budget_states_max") == before + 1
    states.apply(limit_record(complete_from_us=0), NOW_US)
    assert not is_complete(states)
    assert is_complete(states, NOW_US + DAY_US)


def limit_record(period: str = "day", **evaluation: Any) -> bytes:
    """Return the record that describes the evaluation of a whole limit."""
    text = msgspec.json.encode(evaluation).decode()
    return record(group="", period=period, period_end_us=0, evaluation=text)


def is_complete(states: SpentStates, now_us: int = NOW_US, period: str = "day") -> bool:
    return states.is_complete(("b", ""), period, "UTC", now_us)


def test_which_periods_contain_all_spend() -> None:
    states = SpentStates(10)
    assert not is_complete(states), "nothing is evaluated yet"
    states.apply(limit_record(complete_from_us=(TODAY + 1) * DAY_US), NOW_US)
    assert not is_complete(states)
    assert is_complete(states, NOW_US + DAY_US)
    complete = [TODAY * DAY_US]
    states.apply(limit_record(complete_from_us=(TODAY + 1) * DAY_US, complete=complete), NOW_US)
    assert is_complete(states)
    assert not is_complete(states, NOW_US - DAY_US)
    assert not is_complete(states, period="month"), "the definition has changed"
    states.apply(limit_record(period="rolling_24h", complete_from_us=NOW_US), NOW_US)
    assert not is_complete(states, NOW_US + DAY_US - 1, "rolling_24h")
    assert is_complete(states, NOW_US + DAY_US, "rolling_24h")
    states.apply(limit_record(period="total", complete=[0]), NOW_US)
    assert is_complete(states, period="total")
    states.remove_budget("b")
    assert not is_complete(states)


def test_the_tier_that_a_trace_states_is_known() -> None:
    states = SpentStates(10)
    states.apply(record(evaluation='{"meter":"x","trace_tier":"pro"}'), NOW_US)
    state = states.of_rule(("b", ""), "day", '{"user_id":"u"}', NOW_US)
    assert state is not None
    assert state.trace_tier == "pro"


async def test_ended_periods_and_deleted_budgets_are_removed() -> None:
    states = SpentStates(100)
    for number in range(20):
        states.apply(record(TODAY - number % 2, group=f'{{"user_id":"{number}"}}'), NOW_US)
    states.apply(record(budget_id="deleted", updated_us=NOW_US - 90_000_000), NOW_US)
    states.apply(record(budget_id="new"), NOW_US)
    await states.sweep({"b"}, NOW_US)
    assert len(states) == 11, "ten of today, and one of a budget that may be new"
    states.remove_budget("b")
    assert len(states) == 1


@pytest.mark.parametrize("value", [b"", b"{", b'{"budget_id":"b"}', record(group="[]")])
def test_other_records_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError):
        SpentStates(10).apply(value, NOW_US)
