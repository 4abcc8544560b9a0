"""Budgets fire once for each threshold, group and period, and take back what corrections undo."""

from __future__ import annotations

import msgspec

from producers.control.kinds.budget import BudgetLimit, BurnRate
from producers.control.record import Tombstone
from producers.notifications.registry import EVENT_TYPES
from producers.tiers.record import Tier
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

CROSSED, CORRECTED = "budget.threshold_crossed", "budget.corrected"
HOUR_US = DAY_US // 24
TIERS = {"free": USD // 10, "pro": 5 * USD, "enterprise": 100 * USD}


def by_user(**fields: object) -> Running:
    running = Running(budget(group_by=("user_id",), **fields))
    running.settle()
    return running


def test_each_user_has_a_limit_of_its_own() -> None:
    running = by_user()
    assert running.add(spend(9 * USD // 10, user="a"), spend(USD // 2, user="b")) != []
    (first,) = running.alerts
    assert events([first]) == [(CROSSED, "0.8")]
    assert msgspec.json.decode(first.payload)["group"] == {"user_id": "a"}
    assert events(running.add(spend(USD, user="b"))) == [(CROSSED, "0.8"), (CROSSED, "1")]
    assert len({alert.id for alert in running.alerts}) == 3
    running.flush()
    assert running.spent() == {'{"user_id":"a"}': 9 * USD // 10, '{"user_id":"b"}': 3 * USD // 2}


def test_a_new_period_begins_without_the_store() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD))
    tomorrow = running.add(spend(USD, NOON_S + 86_400), now_us=NOON_US + DAY_US)
    assert events(tomorrow) == [(CROSSED, "0.8"), (CROSSED, "1")]
    assert running.book.is_complete


def test_a_correction_takes_a_threshold_back_and_it_can_be_crossed_again() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD))
    assert running.add(spend(-USD // 10)) == []
    assert running.tick(NOON_US + 4_900_000) == []
    (taken_back,) = running.tick(NOON_US + 5_000_000)
    assert events([taken_back]) == [(CORRECTED, "1")]
    payload = msgspec.json.decode(taken_back.payload)
    assert (payload["old_spent_pico"], payload["spent_pico"]) == (USD, 9 * USD // 10)
    assert events(running.add(spend(USD // 10))) == [(CROSSED, "1")]
    assert len({alert.id for alert in running.alerts}) == 4


def test_spend_that_is_lower_for_a_moment_does_not_repeat_an_alert() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD))
    for at_us in range(NOON_US, NOON_US + 60_000_000, 4_000_000):
        assert running.add(spend(-USD // 10), now_us=at_us) == []
        assert running.add(spend(USD // 10), now_us=at_us + 3_900_000) == []
        assert running.tick(at_us + 3_950_000) == []
    running.add(spend(-USD // 10))
    running.add(spend(-USD // 10), now_us=running.now_us + 4_000_000)
    running.flush()
    running.start()
    assert running.tick(running.now_us) == []
    assert running.tick(running.now_us + 4_900_000) == []
    assert events(running.tick(running.now_us + 100_000)) == [(CORRECTED, "1")]


def test_a_higher_limit_takes_a_threshold_back_at_once() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD))
    running.put(budget(limit_pico=2 * USD))
    assert events(running.take_alerts()) == [(CORRECTED, "0.8"), (CORRECTED, "1")]


def test_webhooks_describe_events_of_budgets_like_those_of_rules() -> None:
    running = by_user()
    crossing, *_ = running.add(spend(USD, user="a"))
    running.add(spend(-USD // 10, user="a"))
    (taken_back,) = running.tick(NOON_US + 5_000_000)
    for alert, value in ((crossing, "1"), (taken_back, "0.9")):
        body = msgspec.json.decode(EVENT_TYPES[alert.event].webhook_body(alert))
        data = body["data"]
        assert (data["rule_id"], data["rule_name"]) == (data["budget_id"], data["name"])
        assert (data["value"], data["group"]) == (value, {"user_id": "a"})
        assert (data["alert_id"], data["episode_id"]) == (alert.id, alert.episode)
        assert (data["state"], data["severity"]) == (alert.state, alert.severity)
        assert (data["window_start"], data["window_end"]) == (
            data["period_start"], data["period_end"],
        )  # fmt: skip
        assert data["window_end"] > data["window_start"]
        assert data["exemplars"] == [data["trace_id"]]


def test_a_move_within_a_delta_crosses_nothing_in_between() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD, user="a"))
    assert running.add(spend(-USD, user="a"), spend(USD, user="b")) == []


def test_the_users_of_a_move_are_both_evaluated() -> None:
    running = by_user()
    running.add(spend(USD, user="a"))
    moved = running.add(spend(-USD, user="a"), spend(USD, user="b"))
    assert events(moved) == [(CROSSED, "0.8"), (CROSSED, "1")]
    later = running.tick(NOON_US + 5_000_000)
    assert events(later) == [(CORRECTED, "0.8"), (CORRECTED, "1")]


def test_the_tier_of_a_user_decides_the_limit_and_a_change_is_evaluated() -> None:
    running = by_user(tiers=TIERS, default_tier="free", overrides={"vip": 1000 * USD})
    assert events(running.add(spend(USD, user="a"))) == [(CROSSED, "0.8"), (CROSSED, "1")]
    assert running.add(spend(USD, user="vip")) == []
    upgraded = Tier("p", "a", "pro")
    running.tiers.apply(upgraded)
    running.book.tier_changed(upgraded, NOON_US)
    assert events(running.take_alerts()) == [(CORRECTED, "0.8"), (CORRECTED, "1")]
    running.flush()
    row = next(msgspec.json.decode(v) for v in running.states.values() if b'"pro"' in v)
    assert (row["tier"], row["limit_pico"], row.get("crossed")) == ("pro", 5 * USD, None)


def test_several_limits_fire_by_themselves() -> None:
    limits = (
        BudgetLimit(name="hourly", period="hour", limit_pico=USD),
        BudgetLimit(name="daily", period="day", limit_pico=2 * USD),
    )
    running = Running(budget(limits=limits, thresholds=("1",)))
    running.settle()
    names = [
        msgspec.json.decode(alert.payload)["limit_name"]
        for hour in range(3)
        for alert in running.add(spend(USD, NOON_S + hour * 3600), now_us=NOON_US + hour * HOUR_US)
    ]
    assert names == ["hourly", "hourly", "daily", "hourly"]


def test_spend_leaves_a_rolling_period() -> None:
    running = Running(budget(period="rolling_24h", thresholds=("1",)))
    running.settle()
    assert events(running.add(spend(USD))) == [(CROSSED, "1")]
    assert running.tick(NOON_US + DAY_US + HOUR_US) == []
    running.flush()
    assert running.spent() == {"{}": 0}
    later_s = NOON_S + 90_000
    again = running.add(spend(USD, later_s), now_us=later_s * 1_000_000)
    assert events(again) == [(CROSSED, "1")]
    assert len({alert.id for alert in running.alerts}) == 2


def test_spend_close_to_a_rolling_threshold_creates_one_alert() -> None:
    running = Running(budget(period="rolling_24h", thresholds=("1",)))
    running.settle()
    for quarter in range(400):
        at_s = NOON_S + quarter * 900
        running.add(spend(USD // 96, at_s), now_us=at_s * 1_000_000)
        running.tick(at_s * 1_000_000 + 1)
    assert len(running.alerts) <= 1


def test_a_budget_made_in_the_middle_of_a_period_starts_from_the_stored_spend() -> None:
    running = Running(budget(group_by=("user_id",)))
    assert running.add(spend(USD // 2, user="a")) == []
    assert not running.book.is_complete
    running.flush()
    assert '"incomplete":1' in next(v.decode() for k, v in running.states.items() if b'"a' in v)
    running.settle({"a": USD, "b": USD})
    assert running.book.is_complete
    assert len(running.take_alerts()) == 4
    running.flush()
    assert running.spent() == {'{"user_id":"a"}': USD, '{"user_id":"b"}': USD}


def test_limits_and_alerts_are_incomplete_while_accepted_events_are_not_processed() -> None:
    running = Running(budget(thresholds=("0.5", "1")))
    running.settle()
    running.book.events_deferred(is_partial=False)
    running.add(spend(USD // 2))
    running.flush()
    assert incomplete_limits(running) == [0]
    running.book.events_deferred(is_partial=True)
    running.add(spend(USD // 2))
    running.flush()
    assert incomplete_limits(running) == [1]
    assert [msgspec.json.decode(each.payload)["incomplete"] for each in running.alerts] == [
        False, True,
    ]  # fmt: skip
    running.start()
    running.book.events_deferred(is_partial=False)  # processed while the worker was away
    running.flush()
    assert incomplete_limits(running) == [0]
    assert running.spent() == {"{}": USD}


def incomplete_limits(running: Running) -> list[int]:
    rows = [msgspec.json.decode(value) for value in running.states.values()]
    return [row.get("incomplete", 0) for row in rows if not row["group"]]


def test_changes_during_a_reading_count_once() -> None:
    running = Running(budget())
    (query,) = running.book.spend_queries(10, -1)
    running.add(spend(1))  # offset 0: the stored row contains it
    running.add(spend(2))  # offset 1: it does not
    cell = (NOON_S, ("u", "m", "e", *[""] * (len(query.meter.scope) - 3)))
    running.book.spend_read(query, SpendResult({(0, ()): 100}, {cell: 0}))
    running.flush()
    assert running.spent() == {"{}": 102}


def test_changes_that_a_row_contains_before_they_are_applied_are_skipped() -> None:
    running = Running(budget())
    (query,) = running.book.spend_queries(10, -1)
    cell = (NOON_S, ("u", "m", "e", *[""] * (len(query.meter.scope) - 3)))
    running.book.spend_read(query, SpendResult({(0, ()): 101}, {cell: 0}))
    running.add(spend(1))  # offset 0
    running.add(spend(2))
    running.flush()
    assert running.spent() == {"{}": 103}


def test_a_failed_reading_is_repeated() -> None:
    running = Running(budget())
    (query,) = running.book.spend_queries(10, -1)
    assert running.book.spend_queries(10, -1) == []
    running.book.spend_read(query, None)
    (again,) = running.book.spend_queries(10, -1)
    running.book.spend_read(query, SpendResult({(0, ()): USD}, {}))  # outdated
    assert running.take_alerts() == []
    running.book.spend_read(again, SpendResult({(0, ()): USD}, {}))
    assert len(running.take_alerts()) == 2


def test_a_changed_limit_is_evaluated_at_once_and_keeps_the_spend() -> None:
    running = Running(budget())
    running.settle()
    running.add(spend(USD))
    running.put(budget(limit_pico=10 * USD))
    assert events(running.take_alerts()) == [(CORRECTED, "0.8"), (CORRECTED, "1")]
    running.put(budget(limit_pico=USD, thresholds=("0.5",)))
    assert events(running.take_alerts()) == [(CROSSED, "0.5")]


def test_a_removed_budget_leaves_no_states() -> None:
    running = by_user()
    running.add(spend(USD))
    running.flush()
    assert running.states
    del running.budgets["b"]
    running.book.control_changed(Tombstone(kind="budget", id="b"), NOON_US)
    running.flush()
    assert running.states == {}


def test_a_forecast_above_the_limit_is_reported_once() -> None:
    running = Running(budget(forecast=True, limit_pico=10 * USD))
    running.settle()
    assert events(running.add(spend(6 * USD))) == [("budget.forecast_exceeded", None)]
    assert running.add(spend(USD // 10)) == []


def test_spend_from_before_the_usual_spend_was_read_is_forecast_without_further_spend() -> None:
    running = Running(budget(forecast="hour_of_week", limit_pico=100 * USD))
    running.settle()
    assert running.add(spend(USD)) == []
    (query,) = running.book.usual.wanted(NOON_US)
    hour = NOON_S // 3_600 % 168
    running.book.usual.found(query, {(hour + n) % 168: 1 if n < 0 else 999 for n in range(-12, 12)})
    assert [each for each, _ in events(running.tick(NOON_US))] == ["budget.forecast_exceeded"]
    assert running.tick(NOON_US + 1_000_000) == []


def test_a_forecast_by_hour_of_week_waits_for_the_usual_spend() -> None:
    running = Running(budget(forecast="hour_of_week", limit_pico=10 * USD))
    running.settle()
    assert running.add(spend(6 * USD)) == []
    (query,) = running.book.usual.wanted(NOON_US)
    hour = NOON_S // 3_600 % 168
    # Usually, most of a day's spend is in the hours before noon.
    usual = {(hour + n) % 168: (10 if n < 0 else 1) * USD for n in range(-12, 12)}
    running.book.usual.found(query, usual)
    assert running.add(spend(1)) == []
    assert not running.book.usual.wanted(NOON_US)
    running.book.usual.found(query, {(hour + n) % 168: USD for n in range(-12, 12)})
    (alert,) = running.add(spend(1))
    assert msgspec.json.decode(alert.payload)["method"] == "hour_of_week"
    assert running.book.usual.wanted(NOON_US + DAY_US)


def test_a_forecast_by_hour_of_week_is_linear_without_the_store() -> None:
    running = Running(budget(forecast="hour_of_week", limit_pico=10 * USD))
    running.settle()
    running.add(spend(6 * USD))
    (query,) = running.book.usual.wanted(NOON_US)
    running.book.usual.found(query, None)
    (alert,) = running.add(spend(1))
    assert msgspec.json.decode(alert.payload)["method"] == "linear"
    assert not running.book.usual.wanted(NOON_US)
    assert running.book.usual.wanted(NOON_US + 61_000_000)


def test_a_burn_rate_is_reported_when_both_windows_are_too_fast() -> None:
    burn = BurnRate(fast_s=300, slow_s=3600, factor="10")
    running = Running(budget(burn_rate=burn, limit_pico=240 * USD))  # 10 USD an hour is factor 1
    running.settle()
    assert running.add(spend(50 * USD)) == []
    found = running.add(spend(60 * USD), now_us=NOON_US + 60_000_000)
    assert events(found) == [("budget.burn_rate", None)]
    assert running.add(spend(USD), now_us=NOON_US + 61_000_000) == []


def test_late_events_of_an_ended_period_are_no_burn_rate() -> None:
    burn = BurnRate(fast_s=300, slow_s=3600, factor="10")
    running = Running(budget(burn_rate=burn, limit_pico=240 * USD, created_us=NOON_US - DAY_US))
    running.settle()
    late = running.add(spend(200 * USD, NOON_S - 86_400), now_us=NOON_US + 1)
    assert "budget.burn_rate" not in {event for event, _ in events(late)}


def test_old_periods_are_forgotten_and_read_again() -> None:
    running = Running(budget(), budget_periods_keep_days=1)
    running.settle()
    running.add(spend(USD))
    running.flush()
    running.tick(NOON_US + 3 * DAY_US)
    running.flush()
    assert '"group":"{}"' not in "".join(map(bytes.decode, running.states.values()))
    running.add(spend(1))
    assert not running.book.is_complete
    running.settle({"": USD + 1})
    assert running.take_alerts() == []  # the thresholds were reported
    running.flush()
    assert running.spent() == {"{}": USD + 1}


def test_new_groups_above_the_limit_are_counted_and_ignored() -> None:
    running = Running(budget(group_by=("user_id",)), budget_groups_max=2)
    running.settle()
    running.add(*(spend(1, user=f"u{n}") for n in range(3)))
    running.tick(NOON_US + 120_000_000)
    running.add(spend(USD, user="other"))
    running.tick(NOON_US + 240_000_000)
    assert running.limits["budget_groups_max"] == 1
    assert running.alerts == []
