"""Crashes between any two effects change neither sums nor alerts."""

from __future__ import annotations

import os
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.control.kinds.budget import BudgetLimit
from producers.control.periods import period_bounds
from tests.streams.budgets.budget_world import NOON_S, NOON_US, USD, Running, budget, spend

EXAMPLES = int(os.environ.get("BUDGET_EXAMPLES", "100"))
USERS = ("a", "b", "c")
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.integers(-3, 6).map(lambda n: n * USD // 4),
        st.sampled_from([0, 900, 3_600, 50_000, 90_000]),
    ),
    min_size=1,
    max_size=3,
)
LOG = st.lists(CHANGES, min_size=1, max_size=25)
LIMITS = (
    BudgetLimit(name="hour", period="hour", limit_pico=USD),
    BudgetLimit(name="day", period="day", limit_pico=3 * USD),
    BudgetLimit(name="same", period="day", limit_pico=USD),
    BudgetLimit(name="ever", period="total", limit_pico=5 * USD),
)


def running_of(group_by: tuple[str, ...], correction_delay_s: float = 0) -> Running:
    running = Running(
        budget(group_by=group_by, limits=LIMITS, thresholds=("0.5", "1")),
        budget_correction_delay_s=correction_delay_s,
    )
    running.settle()
    running.flush()
    return running


def crash(running: Running, at: int, lost: bool) -> None:
    """Crash during a flush: the alerts since the last one are written, or only some of them."""
    if at >= 0:
        running.flush(states_max=at)
    if lost:
        del running.alerts[len(running.alerts) // 2 :]
    running.start()
    running.tick(running.now_us)


@settings(max_examples=EXAMPLES, deadline=None)
@given(log=LOG, seed=st.integers(0, 2**32), grouped=st.booleans())
def test_sums_and_alerts_are_those_without_crashes(log, seed, grouped) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(seed)
    group_by = ("user_id",) if grouped else ()
    steady, crashing = running_of(group_by), running_of(group_by)
    for changes in log:
        for running in (steady, crashing):
            running.add(*(spend(pico, NOON_S + later_s, user) for user, pico, later_s in changes))
            running.settle_from_log()
        if chance.random() < 0.4:
            crashing.flush()
        if chance.random() < 0.4:
            crash(crashing, chance.randrange(-1, 6), lost=False)
            crashing.settle_from_log()
    steady.flush()
    crashing.flush()
    crashing.start()
    crashing.tick(crashing.now_us)
    crashing.flush()
    assert states(crashing) == states(steady)
    found = [alert.id for alert in crashing.alerts]
    assert len(found) == len(set(found))
    assert set(found) == {alert.id for alert in steady.alerts}


@settings(max_examples=EXAMPLES, deadline=None)
@given(log=LOG, seed=st.integers(0, 2**32), grouped=st.booleans())
def test_with_delayed_corrections_the_last_alerts_are_those_of_the_sums(  # type: ignore[no-untyped-def]
    log, seed, grouped
) -> None:
    """Restarts may delay a correction further, so alerts can be fewer, but not repeated."""
    chance = random.Random(seed)
    running = running_of(("user_id",) if grouped else (), correction_delay_s=5)
    now_us = NOON_US
    for changes in log:
        now_us += chance.randrange(4_000_000)
        running.add(
            *(spend(pico, NOON_S + later_s, user) for user, pico, later_s in changes),
            now_us=now_us,
        )
        running.settle_from_log()
        running.tick(now_us)
        if chance.random() < 0.4:
            running.flush()
        if chance.random() < 0.4:
            crash(running, chance.randrange(-1, 6), lost=False)
            running.settle_from_log()
    running.tick(now_us + 5_000_000)
    running.flush()
    assert crossed_by_alerts(running) == {
        f"{limit}/{threshold}"
        for limit, (_, crossed) in states(running).items()
        for threshold in crossed
    }


def crossed_by_alerts(running: Running) -> set[str]:
    """Return the thresholds that alerts have crossed and not taken back.

    Each crossing must follow a correction of the crossing before it.
    """
    crossed: dict[str, int] = {}
    sequences: dict[str, int] = {}
    for alert in running.alerts:
        body = msgspec.json.decode(alert.payload)
        group = msgspec.json.encode(body.get("group", {})).decode()
        at = f"{body['limit_name']}/{body['period_start_us']}/{group}/{body['threshold']}"
        if alert.event == "budget.corrected":
            assert crossed.pop(at) == body.get("sequence", 0)
        else:
            assert at not in crossed
            assert body.get("sequence", 0) == sequences.get(at, -1) + 1
            crossed[at] = sequences[at] = body.get("sequence", 0)
    return set(crossed)


def states(running: Running) -> dict[str, tuple[int, list[str]]]:
    rows = [msgspec.json.decode(value) for value in running.states.values()]
    return {
        f"{row['limit_name']}/{row['period_start_us']}/{row['group']}": (
            row.get("spent_pico", 0),
            row.get("crossed", []),
        )
        for row in rows
        if row["group"] and (row.get("spent_pico") or row.get("crossed"))
    }


@settings(max_examples=EXAMPLES, deadline=None)
@given(before=LOG, during=LOG, after=LOG, seed=st.integers(0, 2**32), grouped=st.booleans())
def test_a_reading_at_any_moment_results_in_the_true_spend(  # type: ignore[no-untyped-def]
    before, during, after, seed, grouped
) -> None:
    """The budget is created in the middle of the log; rows contain more or less of what follows."""
    chance = random.Random(seed)
    running = Running()

    def add(log) -> None:  # type: ignore[no-untyped-def]
        for changes in log:
            running.add(*(spend(pico, NOON_S + later_s, user) for user, pico, later_s in changes))

    add(before)
    running.put(budget(group_by=("user_id",) if grouped else (), period="total"))
    queries = running.book.spend_queries(10, len(running.log) - 1)
    asked_at = len(running.log) - 1
    add(during)
    running.answer(queries, chance.randint(asked_at, len(running.log) - 1))
    add(after)
    assert running.book.is_complete
    running.flush()
    expected: dict[str, int] = {}
    for user, pico, _ in (
        change for log in (before, during, after) for each in log for change in each
    ):
        group = f'{{"user_id":"{user}"}}' if grouped else "{}"
        expected[group] = expected.get(group, 0) + pico
    found = running.spent()
    assert {group: found.get(group, 0) for group in expected} == expected


@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_the_log_does_not_change_sums(grouped: bool) -> None:
    chance = random.Random(7)
    changes = [
        (chance.choice(USERS), chance.randrange(1, USD), chance.choice([0, 900, 3_600]))
        for _ in range(200)
    ]
    spent = []
    for _ in range(3):
        running = running_of(("user_id",) if grouped else ())
        for user, pico, later_s in changes:
            running.add(spend(pico, NOON_S + later_s, user))
        running.flush()
        spent.append(states(running))
        ids = [alert.id for alert in running.alerts]
        assert len(ids) == len(set(ids))
        chance.shuffle(changes)
    assert spent[0] == spent[1] == spent[2]
    start_us, _ = period_bounds("day", "UTC", NOON_US)
    total = sum(pico for _, pico, _ in changes)
    of_day = [pico for key, (pico, _) in spent[0].items() if key.startswith(f"day/{start_us}/")]
    assert sum(of_day) == total
