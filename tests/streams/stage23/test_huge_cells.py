"""Cells with amounts beyond 64 bits."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import SpendRow, WindowRow
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from streams.core.rollups.fold import ProjectFold, first_checkpoint
from tests.streams.stage1.stage1_folding import NOW_US, Folding, observation
from tracemill.contract import COST_MAX_PICO, COUNT_MAX, TraceAttributes

NOW_S = NOW_US // 1_000_000
MINUTE_S, QUARTER_S = NOW_S // 60 * 60, NOW_S // 900 * 900
ROW_MAX = 2**63 - 1


NEW = first_checkpoint(0, 0, 0)
READS_BACK = msgspec.structs.replace(NEW, windows_horizon_s=None, spend_horizon_s=None)


def fold_of(checkpoint=NEW):
    return ProjectFold(checkpoint, lateness_s=86_400)


def apply(fold, offset, deltas, *, windows=(), spend=()):
    """Apply encoded deltas as the stage does, with a store that has these rows."""
    deltas = msgspec.json.decode(msgspec.json.encode(deltas), type=list[Delta])
    if missing := fold.missing(deltas):
        fold.load(missing, windows, spend)
    fold.apply(offset, deltas, NOW_S)


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


def test_very_many_of_the_most_expensive_calls_fill_a_row():
    stage1, fold, spent_pico = Folding(), fold_of(), 0
    for crowd in range(4):
        events = [
            observation(
                f"{crowd}-{n}", start_us=NOW_US, cost={"total": COST_MAX_PICO},
                usage={"output": COUNT_MAX}, trace=TraceAttributes(user_id="u"),
            )
            for n in range(40 if crowd == 0 else 200)
        ]  # fmt: skip
        apply(fold, crowd, stage1.fold(*events).deltas)
        spent_pico += len(events) * COST_MAX_PICO
        window, spend = rows_of(fold)
        assert spend.total_cost_pico == window.total_cost_pico == min(spent_pico, ROW_MAX)
    assert spent_pico > ROW_MAX
