"""Limits on the same spend share sums, and each has states and alerts of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from producers.control.kinds.budget import BurnRate
from producers.control.record import Tombstone
from streams.core.budgets.sums import SpendResult
from tests.streams.budgets.budget_world import (
    DAY_US,
    NOON_S,
    NOON_US,
    USD,
    Running,
    budget,
    events,
    spend,
)

CROSSED = "budget.threshold_crossed"


def rows_of(running: Running, budget_id: str) -> dict[str, dict[str, Any]]:
    rows = [msgspec.json.decode(value) for value in running.states.values()]
    return {row["group"]: row for row in rows if row["budget_id"] == budget_id and row["group"]}


def test_stored_spend_is_read_once_for_all_limits_on_it() -> None:
    running = Running(budget("a"), budget("b", limit_pico=2 * USD), budget("c", period="hour"))
    queries = running.book.spend_queries(10, -1)
    assert [query.meter.period for query in queries] == ["day", "hour"]
    for query in queries:
        running.book.spend_read(query, SpendResult({(0, ()): 3 * USD // 2}, {}))
    found = [(alert.rule_id, threshold) for alert, (_, threshold) in with_thresholds(running)]
    assert found == [("a", "0.8"), ("a", "1"), ("c", "0.8"), ("c", "1")]


def with_thresholds(running: Running) -> Any:
    alerts = running.take_alerts()
    return zip(alerts, events(alerts), strict=True)


def test_a_new_limit_on_known_spend_is_complete_and_evaluated_at_once() -> None:
    running = Running(budget("a", group_by=("user_id",), limit_pico=10 * USD))
    running.settle()
    running.add(spend(USD, user="u"))
    running.put(budget("b", group_by=("user_id",)))
    assert [alert.rule_id for alert, _ in with_thresholds(running)] == ["b", "b"]
    assert running.book.is_complete
    running.flush()
    (row,) = rows_of(running, "b").values()
    assert (row["spent_pico"], row["crossed"]) == (USD, ["0.8", "1"])


def test_a_period_before_a_new_budget_is_included_when_it_changes() -> None:
    running = Running(budget("a", limit_pico=10 * USD))
    running.settle()
    running.add(spend(USD))
    running.tick(NOON_US + DAY_US)
    running.put(budget("b", created_us=NOON_US + DAY_US))
    assert running.take_alerts() == []
    found = running.add(spend(1, NOON_S), now_us=NOON_US + DAY_US)
    assert [(alert.rule_id, *each) for alert, each in zip(found, events(found), strict=True)] == [
        ("b", CROSSED, "0.8"),
        ("b", CROSSED, "1"),
    ]


def test_a_limit_that_is_removed_leaves_the_others_their_spend() -> None:
    running = Running(budget("a"), budget("b"))
    running.settle()
    running.add(spend(USD // 2))
    del running.budgets["a"]
    running.book.control_changed(Tombstone(kind="budget", id="a"), NOON_US)
    running.flush()
    assert rows_of(running, "a") == {}
    assert events(running.add(spend(USD // 2))) == [(CROSSED, "0.8"), (CROSSED, "1")]
    running.flush()
    assert rows_of(running, "b")["{}"]["spent_pico"] == USD


def test_states_of_different_positions_are_restored_to_the_latest() -> None:
    """The crash leaves the state of one limit behind that of the other."""
    running = Running(budget("a"), budget("b"))
    running.settle()
    running.flush()
    running.add(spend(USD))
    running.flush(states_max=1)
    running.start()
    running.tick(running.now_us)
    running.flush()
    assert {row["spent_pico"] for each in "ab" for row in rows_of(running, each).values()} == {USD}
    assert sorted(alert.rule_id for alert in running.alerts) == ["a", "a", "b", "b"]


def test_a_threshold_that_is_crossed_again_after_a_crash_has_another_id() -> None:
    running = Running(budget("a"), budget("b"), budget_correction_delay_s=0)
    running.settle()
    running.add(spend(USD))
    running.add(spend(-USD))
    running.start()
    running.tick(running.now_us)
    running.add(spend(USD))
    assert len({alert.id for alert in running.alerts if alert.event == CROSSED}) == 8


def test_a_high_burn_rate_after_a_crash_has_another_id() -> None:
    burn = BurnRate(fast_s=300, slow_s=3600, factor="10")
    running = Running(budget(burn_rate=burn, limit_pico=240 * USD, thresholds=("100",)))
    running.settle()
    found = running.add(spend(110 * USD))
    running.start()
    running.tick(running.now_us)
    assert running.add(spend(110 * USD), now_us=NOON_US + 60_000_000) == []  # it still burns
    running.add(spend(1), now_us=NOON_US + 3_600_000_000)
    again = running.add(spend(110 * USD), now_us=NOON_US + 7_300_000_000)
    burns = [alert for alert in (*found, *again) if alert.event == "budget.burn_rate"]
    assert len({alert.id for alert in burns}) == 2


def test_a_restart_reads_a_period_again_whose_sums_only_a_removed_limit_had() -> None:
    running = Running(budget("a", limit_pico=10 * USD))
    running.settle()
    running.add(spend(USD))
    running.tick(NOON_US + DAY_US)
    running.put(budget("b", created_us=NOON_US + DAY_US))
    running.settle_from_log()
    running.flush()
    del running.budgets["a"]
    running.book.control_changed(Tombstone(kind="budget", id="a"), running.now_us)
    running.flush()
    running.start()
    running.tick(running.now_us)
    assert running.add(spend(1, NOON_S)) == [], "the day is incomplete"
    running.flush()
    assert rows_of(running, "b")["{}"]["incomplete"]
    running.settle_from_log()
    assert events(running.take_alerts()) == [(CROSSED, "0.8"), (CROSSED, "1")]
    running.flush()
    row = rows_of(running, "b")["{}"]
    assert (row["spent_pico"], row.get("incomplete", 0)) == (USD + 1, 0)


def test_a_restart_keeps_the_completeness_of_periods_that_a_limit_includes() -> None:
    running = Running(budget("a", limit_pico=10 * USD))
    running.settle()
    running.add(spend(USD))
    running.tick(NOON_US + DAY_US)
    running.put(budget("b", created_us=NOON_US + DAY_US))
    running.settle_from_log()
    running.add(spend(USD, NOON_S + 86_400), now_us=NOON_US + DAY_US)
    running.flush()
    running.start()
    running.tick(running.now_us)
    assert running.book.is_complete
    found = running.add(spend(1, NOON_S), spend(1, NOON_S + 86_400))
    assert [alert.rule_id for alert in found] == ["b", "b"]
