"""Deltas and rows that raise are set aside alone; a dead letter always encodes."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import DeadLetterRow, WindowRow
from streams.core.dead_letters.set_aside import Source, dead_letter_of_error
from streams.core.dead_letters.texts import cut_to_json_bytes, describe_error
from streams.core.rollups.delta_record import read_deltas
from streams.core.rollups.deltas import CHANGE_MAX, Delta, SpendDelta, WindowDelta
from streams.core.rollups.fold import ProjectFold, first_checkpoint
from streams.rollups.reader import _query_params

NOW_S = 1_780_000_000 // 86_400 * 86_400 + 43_000
NOW_US = NOW_S * 1_000_000
MINUTE_S, BUCKET_S = NOW_S // 60 * 60, NOW_S // 900 * 900
SOURCE = Source("deltas", 0, 7, NOW_US)


def fold_of(**limits):
    return ProjectFold(first_checkpoint(0, 0, 0), lateness_s=86_400, **limits)


def apply(fold, offset, *deltas):
    fold.missing(deltas)
    return fold.apply(offset, deltas, NOW_S)


def test_a_row_longer_than_a_record_is_set_aside_and_the_others_are_written():
    fold = fold_of(row_bytes_max=2_000)
    windows = [
        WindowDelta(MINUTE_S, "e", "m", name, 1, 0, 1, {}, {}) for name in ("short", "long" * 900)
    ]
    apply(fold, 0, Delta("p", 0, 0, windows, []))
    flush = fold.flush()
    assert [msgspec.json.decode(line, type=WindowRow).name for line in flush.windows] == ["short"]
    [failed] = flush.failed
    assert (failed.table, failed.project_id) == ("windows", "p")


def test_a_failed_delta_changes_no_cell(monkeypatch):
    fold = fold_of()
    window = WindowDelta(MINUTE_S, "e", "m", "n", 1, 0, 5, {"input": 3}, {7: 1})
    apply(fold, 0, Delta("p", 0, 0, [window], [SpendDelta(BUCKET_S, "u", "m", "e", 5, "t")]))
    poison = WindowDelta(MINUTE_S, "e", "m", "new", 1, 0, None, {}, {})
    outcome = apply(
        fold,
        1,
        Delta("p", 0, 1, [window, poison], [SpendDelta(BUCKET_S, "u", "m", "e", 5, "t")]),
        Delta("p", 0, 2, [window], []),
    )
    assert [failed.index for failed in outcome.failed] == [0]
    rows = [msgspec.json.decode(line, type=WindowRow) for line in fold.flush().windows]
    assert [(row.name, row.observation_count, row.usage) for row in rows] == [
        ("n", 2, {"input": 6})
    ]
    assert apply(fold, 2, Delta("p", 0, 1, [window], [])).repeats == 1


counts = st.integers(-CHANGE_MAX, CHANGE_MAX)
amounts = st.integers(-(2**200), 2**200)
texts = st.text(max_size=20)
windows = st.builds(
    WindowDelta,
    st.integers(0, 2**32 - 1), texts, texts, texts, counts, counts, amounts,
    st.dictionaries(texts, amounts, max_size=5),
    st.dictionaries(st.integers(-1, 4_095), counts, max_size=5),
)  # fmt: skip
spends = st.builds(SpendDelta, st.integers(0, 2**32 - 1), texts, texts, texts, amounts, texts)
all_deltas = st.lists(
    st.builds(
        Delta, texts, st.integers(0, 9), st.integers(0, 2**62),
        st.lists(windows, max_size=3), st.lists(spends, max_size=3),
    ), max_size=4,
)  # fmt: skip


@given(st.lists(all_deltas, max_size=4))
def test_every_delta_that_decodes_makes_rows_that_encode(records):
    fold = fold_of()
    for offset, deltas in enumerate(records):
        value = b"\n".join(map(msgspec.json.encode, deltas))
        record = read_deltas(value)
        assert record.failed == []
        missing = fold.missing(record.deltas)
        fold.load(missing, [], [])
        assert fold.apply(offset, record.deltas, NOW_S).failed == []
    flush = fold.flush()
    assert flush.failed == []
    for line in flush.windows:
        row = msgspec.json.decode(line, type=WindowRow)
        assert abs(row.total_cost_pico) < 2**63 > abs(row.observation_count)
    msgspec.json.encode(flush.checkpoint)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no message")


@given(
    st.binary(max_size=3_000),
    st.text(max_size=3_000) | st.just("\ud800" * 9),
    st.text(max_size=300),
    st.integers(17_000, 40_000),
    st.integers(-(2**70), 2**70),
)
def test_a_dead_letter_encodes_within_its_limit_whatever_it_is_of(
    payload, message, project, limit, at_us
):
    for error in (ValueError(message), Unprintable()):
        row = dead_letter_of_error(
            stage="projects",
            identity=message,
            error=error,
            payload=payload,
            project_id=project,
            source=Source("deltas", 0, 7, at_us),
            row_bytes_max=limit,
        )
        line = msgspec.json.encode(row)
        assert len(line) <= limit
        assert msgspec.json.decode(line, type=DeadLetterRow) == row
        if len(row.payload) < len(payload.decode(errors="replace")):
            assert "is cut" in row.detail


@given(st.text(max_size=2_000), st.integers(0, 3_000))
def test_a_text_is_cut_to_what_fits(text, limit):
    kept = cut_to_json_bytes(text, limit)
    assert text.startswith(kept)
    assert len(msgspec.json.encode(kept)) <= max(limit, 2)


def test_the_code_location_is_the_innermost_of_our_own():
    try:
        fold_of().apply(0, [Delta("p", 0, 0, [None], [])], NOW_S)
        [failed] = fold_of().apply(0, [Delta("p", 0, 0, [None], [])], NOW_S).failed
    finally:
        pass
    assert "streams.core.rollups.fold:" in describe_error(failed.error)
    assert "in _change_cells" in describe_error(failed.error)


@given(
    st.sets(st.tuples(st.sampled_from("abcd"), st.integers(0, 40)), max_size=60),
    st.integers(1, 20),
)
def test_queries_of_one_project_do_not_enlarge_those_of_others(groups, groups_max):
    asked = [
        [(project, start) for project in question["projects"] for start in question["starts"]]
        for question in _query_params({(project, n * 900) for project, n in groups}, groups_max)
    ]
    pairs = [pair for question in asked for pair in question]
    needed = {(project, datetime.fromtimestamp(n * 900, UTC)) for project, n in groups}
    assert len(pairs) == len(set(pairs))
    assert needed <= set(pairs)
    assert len(pairs) <= 4 * len(needed)
    assert all(len(question) <= groups_max for question in asked)
