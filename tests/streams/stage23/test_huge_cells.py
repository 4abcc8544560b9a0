"""Cells and budgets with amounts beyond 64 bits."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import SpendRow, WindowRow
from streams.core.alerts.crossings import alert_row
from streams.core.budgets.evaluation import Budgets
from streams.core.budgets.rules import BudgetRule
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from streams.core.rollups.fold import ProjectFold, first_checkpoint
from tests.streams.stage1.stage1_folding import NOW_US, Folding, observation
from tracemill.contract import COST_MAX_PICO, COUNT_MAX, TraceAttributes

NOW_S = NOW_US // 1_000_000
MINUTE_S, QUARTER_S = NOW_S // 60 * 60, NOW_S // 900 * 900
ROW_MAX = 2**63 - 1


NEW = first_checkpoint(0, 0, 0)
READS_BACK = msgspec.structs.replace(NEW, windows_horizon_s=None, spend_horizon_s=None)


def fold_of(*rules, checkpoint=NEW):
    fold = ProjectFold(checkpoint, Budgets(alerted=set(), periods_max=9), lateness_s=86_400)
    for rule in rules:
        fold.budgets.put(rule, NOW_US)
    return fold


def apply(fold, offset, deltas, *, windows=(), spend=()):
    """Apply encoded deltas as the stage does, with a store that has these rows."""
    deltas = msgspec.json.decode(msgspec.json.encode(deltas), type=list[Delta])
    if missing := fold.missing(deltas):
        fold.load(missing, windows, spend)
    crossings = fold.apply(offset, deltas, NOW_S).crossings
    for baseline in fold.budgets.begin(fold.spend, 9):
        crossings += fold.budgets.settle(baseline, 0, fold.spend.arrivals)
    return crossings


def delta(offset, pico, units=0):
    return Delta(
        "p", 0, offset,
        [WindowDelta(MINUTE_S, "prod", "m", "chat", 1, 0, pico, {"output": units}, {})],
        [SpendDelta(QUARTER_S, "u", "m", "prod", pico, "t")],
    )  # fmt: skip


def rows_of(fold):
    flush = fold.flush()
    [window] = [msgspec.json.decode(line, type=WindowRow) for line in flush.windows]
    [spend] = [msgspec.json.decode(line, type=SpendRow) for line in flush.spend]
    return window, spend


amounts = st.integers(0, 2**66)


@given(st.lists(amounts, min_size=1, max_size=8))
def test_rows_are_capped_at_the_range_of_their_columns(changes):
    fold, exact, before = fold_of(), 0, 0
    for offset, amount in enumerate(changes):
        apply(fold, offset, [delta(offset, amount, amount)])
        exact += amount
        window, spend = rows_of(fold)
        expected = min(exact, ROW_MAX)
        assert (window.total_cost_pico, spend.total_cost_pico) == (expected, expected)
        assert window.usage.get("output", 0) == expected
        assert expected >= before
        before = expected


@given(st.lists(amounts, min_size=1, max_size=5), st.lists(amounts, min_size=1, max_size=5))
def test_a_capped_amount_that_was_read_back_never_becomes_negative(earlier, later):
    first = fold_of()
    apply(first, 0, [delta(n, amount, amount) for n, amount in enumerate([ROW_MAX, *earlier])])
    window, spend = rows_of(first)
    again = fold_of(checkpoint=READS_BACK)
    changes = [-ROW_MAX, *(-amount for amount in earlier), *later]
    deltas = [delta(9 + n, amount, amount) for n, amount in enumerate(changes)]
    apply(again, 1, deltas, windows=[window], spend=[spend])
    window, spend = rows_of(again)
    least = min(sum(later), ROW_MAX)
    assert least <= window.total_cost_pico <= ROW_MAX
    assert least <= spend.total_cost_pico <= ROW_MAX
    assert least <= window.usage.get("output", 0) <= ROW_MAX


def test_a_budget_alerts_after_very_many_of_the_most_expensive_calls():
    limit_pico = 9_000_000 * 10**12
    whole = BudgetRule(
        id="b", project_id="p", name="n", scope={"user_id": "u"}, period="day", time_zone="UTC",
        limit_pico=limit_pico, thresholds=("0.5", "1.0"), created_us=NOW_US,
    )  # fmt: skip
    stage1, fold = Folding(), fold_of(whole)
    crossings, spent_pico = [], 0
    for crowd in range(4):
        events = [
            observation(
                f"{crowd}-{n}", start_us=NOW_US, cost={"total": COST_MAX_PICO},
                usage={"output": COUNT_MAX}, trace=TraceAttributes(user_id="u"),
            )
            for n in range(40 if crowd == 0 else 200)
        ]  # fmt: skip
        crossings += apply(fold, crowd, stage1.fold(*events).deltas)
        spent_pico += len(events) * COST_MAX_PICO
        window, spend = rows_of(fold)
        assert spend.total_cost_pico == window.total_cost_pico == min(spent_pico, ROW_MAX)
    assert [crossing.threshold for crossing in crossings] == ["0.5", "1.0"]
    day_us = int(datetime.fromtimestamp(NOW_S, UTC).replace(hour=0, minute=0, second=0).timestamp())
    assert fold.budgets.spent_pico(("b", day_us * 1_000_000)) == spent_pico
    told = [alert_row(crossing, NOW_US).spent_pico for crossing in crossings]
    assert all(limit_pico // 2 <= pico <= ROW_MAX for pico in told)

    after = fold_of(whole, checkpoint=READS_BACK)
    crossings = apply(after, 0, [delta(9, 1)], windows=[window], spend=[spend])
    assert [crossing.threshold for crossing in crossings] == ["0.5", "1.0"]
