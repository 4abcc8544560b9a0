"""A large delta is split into parts that are applied once each, with the same totals."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.core.observations.limits import (
    CELL_USAGE_TYPES_MAX,
    DELTA_USAGE_TYPES_MAX,
    DIMENSION_CHARS_MAX,
    ID_CHARS_MAX,
    OTHER_USAGE,
    ROW_BYTES_MAX,
)
from streams.core.rollups.amounts import add_amounts
from streams.core.rollups.deltas import PART_BYTES_MAX, Delta, SpendDelta, WindowDelta, parts_of
from streams.core.rollups.fold import ProjectFold, first_checkpoint
from streams.core.rollups.windows import WindowCell
from tests.streams.stage1.stage1_folding import NOW_US, Folding, observation
from tracemill.contract import TraceAttributes, TraceUpdate


def hand_over(models: int, user_id: str) -> list[Delta]:
    """Return the deltas of spend in so many models that is re-attributed to a new user."""
    folding = Folding()
    for first in range(0, models, 500):
        folding.fold(
            *(
                observation(f"o{n}", model=f"model-{n}", cost={"total": n + 1})
                for n in range(first, min(first + 500, models))
            )
        )
    said = TraceAttributes(user_id=user_id)
    return folding.fold(
        TraceUpdate(project_id="p", trace_id="t", ts_us=NOW_US + 1, trace=said)
    ).deltas


def test_a_long_user_id_on_a_trace_with_many_models_leaves_in_parts():
    deltas = hand_over(3_000, "\x00" * 10_000)
    assert len(deltas) > 10
    assert [delta.part for delta in deltas] == list(range(len(deltas)))
    assert max(len(msgspec.json.encode(delta)) for delta in deltas) <= PART_BYTES_MAX + 100
    spend = [change for delta in deltas for change in delta.spend]
    assert len(spend) == 2 * 3_000
    assert sum(change.cost_pico for change in spend if change.user_id) == 3_000 * 3_001 // 2
    assert sum(change.cost_pico for change in spend) == 0


def test_each_part_is_applied_once_however_often_and_wherever_it_is_sent_again():
    deltas = hand_over(3_000, "u" * 1_000)
    assert len(deltas) > 2

    def totals(*records: list[Delta]) -> dict[object, int]:
        fold = ProjectFold(first_checkpoint(0, None, None), lateness_s=1)
        for offset, record in enumerate(records):
            for key in fold.missing(record).spend:
                fold.spend.load(key, {})
            fold.apply(offset, record, 0)
        return {
            key: cell.cost_pico
            for groups in fold.spend.of_project("p").values()
            for key, cell in groups.cells.items()
        }

    once = totals(deltas)
    assert len(once) == 6_000
    assert totals(deltas[:1], deltas[:2], deltas, deltas[1:], deltas) == once
    assert totals(*([delta] for delta in deltas), deltas) == once


def test_the_largest_changes_fit_into_a_record_in_parts():
    worst = "\x00"
    window = WindowDelta(
        NOW_US,
        worst * DIMENSION_CHARS_MAX,
        worst * ID_CHARS_MAX,
        worst * ID_CHARS_MAX,
        -(2**63),
        -(2**63),
        -(2**90),
        {
            f"{n:04}" + worst * (DIMENSION_CHARS_MAX - 4): -(2**63)
            for n in range(DELTA_USAGE_TYPES_MAX + 1)
        },
        dict.fromkeys(range(2184), -(2**63)),
    )
    spend = SpendDelta(NOW_US, *([worst * ID_CHARS_MAX] * 3), -(2**90), worst * ID_CHARS_MAX)
    for windows in (1, 8, 64, 65, 140):
        delta = Delta("p", 0, 1, [window] * windows, [spend] * 200)
        parts = list(parts_of(delta))
        assert max(len(msgspec.json.encode(part)) for part in parts) < ROW_BYTES_MAX
        assert sum(len(part.windows) for part in parts) == windows
        assert sum(len(part.spend) for part in parts) == 200
    (few,) = parts_of(Delta("p", 0, 1, [window] * 64, []))
    assert len(msgspec.json.encode(few)) < ROW_BYTES_MAX


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 9)), max_size=600))
def test_a_window_with_very_many_usage_types_keeps_its_sum_and_can_be_reduced_to_zero(counts):
    cell = WindowCell()
    for sign in (1, -1):
        for version, (kind, count) in enumerate(counts, start=1):
            change = WindowDelta(0, "", "", "", sign, 0, 0, {f"kind-{kind}": sign * count}, {})
            cell.apply(change, version + (sign < 0) * 1_000)
            assert len(cell.usage) <= CELL_USAGE_TYPES_MAX + 1
        assert sum(cell.usage.values()) == (sum(n for _, n in counts) if sign > 0 else 0)


def test_an_unknown_usage_type_of_a_full_cell_is_counted_with_the_others():
    totals = {"a": 1, "b": 1}
    add_amounts(totals, {"a": 2, "c": 3, "d": 4}, 1, 2)
    assert totals == {"a": 3, "b": 1, OTHER_USAGE: 7}
    add_amounts(totals, {"c": 3, "d": 4}, -1, 2)
    assert totals == {"a": 3, "b": 1, OTHER_USAGE: 0}
