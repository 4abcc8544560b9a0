"""Budgets count the spend of their scope and period, and cross each threshold once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerts.crossings import alert_id, alert_row
from streams.core.alerts.past_alerts import PastAlerts
from streams.core.budgets.evaluation import Budgets
from streams.core.budgets.rules import BudgetRule, matches
from streams.core.dimensions.sources import SPEND_DIMENSIONS
from streams.core.rollups.cell_groups import Groups
from streams.core.rollups.spend import SpendCell

DAY_US = 86_400_000_000


def cell_key(user_id, **values):
    """Return the key of a spend cell."""
    values |= {"user_id": user_id, "model": "m1", "environment": "prod"}
    return tuple(values.get(each.name, each.default) for each in SPEND_DIMENSIONS)


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOON_S = at("2026-11-21T12:00")


def rule(**fields):
    return BudgetRule(
        **{
            "id": "b1",
            "project_id": "p1",
            "name": "n",
            "scope": {},
            "period": "day",
            "time_zone": "UTC",
            "limit_pico": 1_000,
            "thresholds": ("0.5", "1.0"),
            "created_us": NOON_S * 1_000_000,
        }
        | fields
    )


class Ledger:
    """Budgets beside the cells that they sum, with a store that answers at once."""

    def __init__(self, *rules, alerted=None):
        self.cells = Groups(SpendCell, -1)
        self.budgets = Budgets(alerted=set() if alerted is None else alerted, periods_max=100)
        self.offset = 0
        for each in rules:
            self.budgets.put(each, NOON_S * 1_000_000)
        self.crossings = self.settle()

    def settle(self, stored_pico=0):
        found = []
        for baseline in self.budgets.begin(self.cells, 100):
            found += self.budgets.settle(baseline, stored_pico, self.cells.arrivals)
        return found

    def spend(self, pico, *, at_s=NOON_S, key=None, trace="t", project="p1"):
        key = cell_key("u1") if key is None else key
        bucket_s = at_s // 900 * 900
        self.cells.load((project, bucket_s), {})
        self.cells.cell((project, bucket_s), key, NOON_S).cost_pico += pico
        found = self.budgets.add(project, bucket_s, key, pico, trace)
        found += self.settle()
        self.crossings += found
        return [(crossing.threshold, crossing.spent_pico, crossing.trace_id) for crossing in found]


def test_each_threshold_is_crossed_once_even_when_the_spend_falls_and_rises_again():
    ledger = Ledger(rule())
    assert ledger.spend(499) == []
    assert ledger.spend(1, trace="t2") == [("0.5", 500, "t2")]
    assert ledger.spend(-100) == []
    assert ledger.spend(100) == []
    assert ledger.spend(5_000, trace="t3") == [("1.0", 5_500, "t3")]
    assert ledger.spend(5_000) == []


def test_one_expensive_trace_crosses_all_thresholds_at_once():
    assert Ledger(rule()).spend(1_000) == [("0.5", 1_000, "t"), ("1.0", 1_000, "t")]


def test_alerts_of_before_a_restart_are_not_repeated():
    first = Ledger(rule())
    first.spend(600)
    second = Ledger(rule(), alerted={crossing.id for crossing in first.crossings})
    assert second.settle(stored_pico=600) == []
    assert second.spend(1_000) == [("1.0", 1_000, "t")]


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ({}, True),
        ({"user_id": "u1"}, True),
        ({"user_id": "u2"}, False),
        ({"model": "m1", "environment": "prod"}, True),
        ({"user_id": "u1", "model": "m1", "environment": "prod"}, True),
        ({"user_id": "u1", "model": "m1", "environment": "test"}, False),
    ],
)
def test_only_spend_of_the_scope_counts(scope, counted):
    assert bool(Ledger(rule(scope=scope)).spend(1_000)) == counted
    assert matches(rule(scope=scope).scope_key, cell_key("u1")) == counted


@pytest.mark.parametrize(
    ("tag", "tags", "counted"),
    [("a", '["a"]', True), ("b", '["a","b"]', True), ("a", '["ab"]', False), ("a", "", False)],
)
def test_a_scope_with_a_tag_counts_spend_of_traces_that_have_it(tag, tags, counted):
    of_tag, of_both = rule(scope={"tags": tag}), rule(id="b2", scope={"tags": tag, "model": "m1"})
    key = cell_key("u1", tags=tags)
    crossed = Ledger(of_tag, of_both).spend(1_000, key=key)
    assert len(crossed) == (4 if counted else 0)
    assert matches(of_tag.scope_key, key) == matches(of_both.scope_key, key) == counted


def test_the_spend_of_another_project_does_not_count():
    assert Ledger(rule()).spend(10_000, project="p2") == []


def test_a_late_event_counts_to_its_own_day():
    ledger = Ledger(rule())
    ledger.spend(400)
    assert ledger.spend(600, at_s=NOON_S - 86_400) == [("0.5", 600, "t")]
    assert ledger.spend(99) == []
    starts = {crossing.period_start_us for crossing in ledger.crossings}
    assert starts == {at("2026-11-20T00:00") * 1_000_000}


@pytest.mark.parametrize(
    ("zone", "in_the_day", "the_day_before"),
    [
        ("UTC", "2026-11-21T00:00", "2026-11-20T23:45"),
        ("Asia/Kathmandu", "2026-11-20T18:15", "2026-11-20T18:00"),  # +05:45
        ("America/St_Johns", "2026-11-21T03:30", "2026-11-21T03:15"),  # −03:30
        ("Pacific/Chatham", "2026-11-20T10:15", "2026-11-20T10:00"),  # +13:45
    ],
)
def test_days_begin_at_local_midnight_in_time_zones_of_any_quarter_hour(
    zone, in_the_day, the_day_before
):
    budget = rule(time_zone=zone)
    assert budget.period_of(at(in_the_day)) == budget.period_of(at(in_the_day) + 6 * 3600)
    assert budget.period_of(at(the_day_before)) != budget.period_of(at(in_the_day))
    assert budget.period_of(at(in_the_day))[0] == at(in_the_day) * 1_000_000


def test_a_day_in_which_clocks_change_is_one_period():
    berlin = rule(time_zone="Europe/Berlin")
    start_us, end_us = berlin.period_of(at("2026-10-25T12:00"))
    assert end_us - start_us == 25 * 3600 * 1_000_000
    assert berlin.period_of(at("2026-10-25T22:45")) == (start_us, end_us)


def test_a_month_is_a_calendar_month():
    start_us, end_us = rule(period="month").period_of(NOON_S)
    assert (start_us, end_us) == (at("2026-11-01T00:00") * 10**6, at("2026-12-01T00:00") * 10**6)


@given(
    limit_pico=st.integers(1, 2**62),
    share=st.decimals("0.000001", "100", places=6, allow_nan=False),
    below=st.integers(0, 2**62),
)
def test_a_threshold_lies_exactly_where_its_decimal_says(limit_pico, share, below):
    [(step, _)] = rule(limit_pico=limit_pico, thresholds=(str(share),)).steps()
    for spent in (step, step - 1, below):
        exact = spent * 10**6 >= limit_pico * int(share * 10**6)
        assert (spent >= step) == exact


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(["u1", "u2"]), st.integers(0, 60)),
        max_size=30,
    ),
    st.randoms(),
)
def test_the_order_of_events_changes_no_total_and_no_set_of_crossings(events, random):
    def outcome(ordered):
        ledger = Ledger(rule(), rule(id="b2", scope={"user_id": "u1"}, limit_pico=700))
        for pico, user, hours in ordered:
            ledger.spend(pico, at_s=NOON_S - 3600 * hours, key=cell_key(user))
        totals = {
            (budget, day): ledger.budgets.spent_pico((budget, day))
            for budget in ("b1", "b2")
            for day in {NOON_S // 86_400 * DAY_US - n * DAY_US for n in range(4)}
        }
        return {crossing.id for crossing in ledger.crossings}, totals

    shuffled = random.sample(events, len(events))
    (ids, totals), (other_ids, other_totals) = outcome(events), outcome(shuffled)
    assert ids == other_ids
    assert totals == other_totals


def test_a_crossing_while_the_baseline_is_read_is_reported_afterwards():
    cells = Groups(SpendCell, -1)
    budgets = Budgets(alerted=set(), periods_max=10)
    budgets.put(rule(), NOON_S * 1_000_000)
    [baseline, *_] = [b for b in budgets.begin(cells, 10) if b.start_s <= NOON_S < b.end_s]
    for pico, trace in ((100, "t1"), (200, "t2"), (100, "t3")):
        budgets.add("p1", NOON_S // 900 * 900, cell_key("u1"), pico, trace)
    [crossing] = budgets.settle(baseline, 250, cells.arrivals)
    assert (crossing.trace_id, crossing.spent_pico) == ("t2", 550)


def test_stored_spend_is_discarded_if_cells_were_read_back_meanwhile():
    cells = Groups(SpendCell, None)
    budgets = Budgets(alerted=set(), periods_max=10)
    budgets.put(rule(), NOON_S * 1_000_000)
    [baseline, *_] = budgets.begin(cells, 10)
    cells.load(("p1", NOON_S // 900 * 900), {cell_key("u1"): SpendCell()})
    assert budgets.settle(baseline, 5_000, cells.arrivals) is None
    assert baseline.key in budgets.unsettled


def test_a_new_version_of_a_budget_starts_over_and_a_removed_one_alerts_nothing():
    ledger = Ledger(rule())
    ledger.spend(400)
    ledger.budgets.put(rule(limit_pico=500), NOON_S * 1_000_000)
    assert [c.threshold for c in ledger.settle()] == ["0.5"]
    ledger.budgets.remove("b1")
    assert ledger.spend(10_000) == []
    assert ledger.budgets.unsettled == []


def test_periods_beyond_the_limit_are_evicted_and_restored():
    cells = Groups(SpendCell, -1)
    budgets = Budgets(alerted=set(), periods_max=2)
    budgets.put(rule(), NOON_S * 1_000_000)

    def settle():
        return [c for b in budgets.begin(cells, 9) for c in budgets.settle(b, 0, cells.arrivals)]

    def spend(pico, days):
        bucket_s = NOON_S - 86_400 * days
        cells.load(("p1", bucket_s), {})
        cells.cell(("p1", bucket_s), cell_key("u1"), NOON_S).cost_pico += pico
        found = budgets.add("p1", bucket_s, cell_key("u1"), pico, "t")
        return [c.threshold for c in found + settle()]

    settle()
    assert [spend(400, days) for days in range(5)] == [[]] * 5
    assert budgets.take_dropped() > 0
    assert [spend(100, days) for days in range(5)] == [["0.5"]] * 5


def test_unsettled_periods_fill_the_limit_until_they_are_settled():
    cells = Groups(SpendCell, -1)
    budgets = Budgets(alerted=set(), periods_max=3)
    budgets.put(rule(), NOON_S * 1_000_000)
    for days in range(5):
        budgets.add("p1", NOON_S - 86_400 * days, cell_key("u1"), 100, "t")
    assert (len(budgets), budgets.is_full, budgets.is_settled) == (5, True, False)
    for baseline in budgets.begin(cells, 9):
        budgets.settle(baseline, 400, cells.arrivals)
    assert (len(budgets), budgets.is_full, budgets.is_settled) == (3, False, True)
    assert budgets.take_dropped() == 2


def test_of_too_many_alerts_the_oldest_are_forgotten_and_counted():
    alerted = PastAlerts(alerts_max=2)
    for alert in ("a", "b", "b", "c"):
        alerted.add(alert)
    assert ("a" in alerted, "b" in alerted, "c" in alerted, len(alerted)) == (False, True, True, 2)
    assert (alerted.take_dropped(), alerted.take_dropped()) == (1, 0)


def test_an_alerts_identity_is_its_project_budget_period_and_threshold():
    budget = rule()
    ids = {
        alert_id(budget, 0, "0.5"),
        alert_id(budget, 0, "1.0"),
        alert_id(budget, DAY_US, "0.5"),
        alert_id(rule(id="b2"), 0, "0.5"),
        alert_id(rule(project_id="p2"), 0, "0.5"),
    }
    assert len(ids) == 5
    assert alert_id(budget, 0, "1") == alert_id(budget, 0, "1.0") == alert_id(budget, 0, "1.00")


def test_an_alert_row_says_what_was_crossed():
    ledger = Ledger(rule(scope={"user_id": "u1"}))
    ledger.spend(600, trace="trace-1")
    row = alert_row(ledger.crossings[0], 77)
    assert (row.spent_pico, row.limit_pico, row.threshold) == (600, 1_000, "0.5")
    assert (row.scope, row.trace_id, row.created_us) == ('{"user_id":"u1"}', "trace-1", 77)
    assert Decimal(row.threshold) * row.limit_pico <= row.spent_pico
