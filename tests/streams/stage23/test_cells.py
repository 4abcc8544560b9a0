"""Windows and spend are folds of deltas, with cells loaded and evicted as needed."""

from functools import partial

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import SpendRow, WindowRow
from streams.core.dimensions.keys import spend_key_of_row
from streams.core.rollups.cell_groups import Groups
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta
from streams.core.rollups.fold import Missing, ProjectFold, first_checkpoint, with_rows_beyond
from streams.core.rollups.sketch import bins_of
from streams.core.rollups.spend import spend_cell, spend_row
from streams.core.rollups.windows import WindowCell, window_cell, window_row

NOW_S = 1_795_262_400
START = first_checkpoint(0, 0, 0)

window_deltas = st.builds(
    WindowDelta,
    window_s=st.sampled_from([NOW_S, NOW_S - 60]),
    environment=st.just("prod"),
    model=st.sampled_from(["m1", "m2"]),
    name=st.just("chat"),
    observations=st.integers(-3, 9),
    errors=st.integers(0, 3),
    cost_pico=st.integers(-(10**15), 10**15),
    usage=st.dictionaries(st.sampled_from(["input", "output"]), st.integers(-99, 99)),
    latency_bins=st.dictionaries(st.integers(-1, 9), st.integers(1, 9)),
    type=st.just("GENERATION"),
    ttft_bins=st.dictionaries(st.integers(-1, 9), st.integers(1, 9), max_size=2),
    rate_bins=st.dictionaries(st.integers(-1, 9), st.integers(1, 9), max_size=2),
    unpriced=st.integers(0, 2),
    cache_exact=st.integers(0, 2),
    cache_semantic=st.integers(0, 2),
    cache_miss=st.integers(0, 2),
    cached_saved_pico=st.integers(-(10**15), 10**15),
    app_saved_pico=st.integers(0, 10**15),
    error_types=st.dictionaries(st.sampled_from(["429", "Timeout"]), st.integers(1, 9)),
)
NO_MEASURES = (0, 0, 0, 0, 0, 0, {}, "", "")


def fold_of(checkpoint=START):
    return ProjectFold(checkpoint, lateness_s=86_400)


def apply(fold, offset, deltas):
    """Apply deltas as the stage does, with an empty store."""
    if missing := fold.missing(deltas):
        fold.load(missing, [], [])
    return fold.apply(offset, deltas, NOW_S)


def rows_of(fold):
    rows = [msgspec.json.decode(line, type=WindowRow) for line in fold.flush().windows]
    return {(row.window_s, row.model): row for row in rows}


def cells_of(fold):
    groups = fold.windows.of_project("p1")
    return {(start_s, key) for start_s, group in groups.items() for key in group.cells}


def facts(row):
    return (
        row.observation_count,
        row.error_count,
        row.total_cost_pico,
        row.usage,
        bins_of(bytes.fromhex(row.latency_state_hex)),
        (
            row.unpriced_count,
            row.cache_exact_count,
            row.cache_semantic_count,
            row.cache_miss_count,
            row.cached_saved_pico,
            row.app_saved_pico,
            row.error_types,
            row.ttft_state_hex,
            row.rate_state_hex,
        ),
    )


@given(st.lists(window_deltas, max_size=20), st.data())
def test_folding_in_parts_equals_folding_at_once(changes, data):
    once, parts = fold_of(), fold_of()
    apply(once, 0, [Delta("p1", 0, 0, changes, [])])
    cut = data.draw(st.integers(0, len(changes)))
    flushed = {}
    for offset, part in enumerate((changes[:cut], changes[cut:])):
        apply(parts, offset, [Delta("p1", 0, offset, part, [])])
        flushed |= rows_of(parts)
    assert {key: facts(row) for key, row in flushed.items()} == {
        key: facts(row) for key, row in rows_of(once).items()
    }


@given(st.lists(window_deltas, max_size=10), st.lists(window_deltas, max_size=10), st.data())
def test_a_delta_that_raises_half_way_changes_no_total(changes, of_bad_delta, data):
    with_bad_delta, without = fold_of(), fold_of()
    for fold in (with_bad_delta, without):
        apply(fold, 0, [Delta("p1", 0, 0, changes, [])])
    broken = data.draw(window_deltas)
    getattr(broken, data.draw(st.sampled_from(["usage", "latency_bins", "error_types"])))[
        "none"
    ] = None

    applied = apply(with_bad_delta, 1, [Delta("p1", 0, 1, [*of_bad_delta, broken], [])])

    assert len(applied.failed) == 1
    assert cells_of(with_bad_delta) == cells_of(without)
    assert {key: facts(row) for key, row in rows_of(with_bad_delta).items()} == {
        key: facts(row) for key, row in rows_of(without).items()
    }
    assert with_bad_delta.windows.cell_count == without.windows.cell_count


@given(st.lists(window_deltas, max_size=10))
def test_a_cell_that_is_reduced_to_zero_writes_a_row_of_zeros(changes):
    fold = fold_of()
    taken_back = [
        WindowDelta(
            c.window_s,
            c.environment,
            c.model,
            c.name,
            -c.observations,
            -c.errors,
            -c.cost_pico,
            {kind: -units for kind, units in c.usage.items()},
            {key: -count for key, count in c.latency_bins.items()},
            type=c.type,
            ttft_bins={key: -count for key, count in c.ttft_bins.items()},
            rate_bins={key: -count for key, count in c.rate_bins.items()},
            unpriced=-c.unpriced,
            cache_exact=-c.cache_exact,
            cache_semantic=-c.cache_semantic,
            cache_miss=-c.cache_miss,
            cached_saved_pico=-c.cached_saved_pico,
            app_saved_pico=-c.app_saved_pico,
            error_types={name: -count for name, count in c.error_types.items()},
        )
        for c in changes
    ]
    apply(fold, 0, [Delta("p1", 0, 0, changes, [])])
    apply(fold, 1, [Delta("p1", 0, 1, taken_back, [])])
    rows = rows_of(fold)
    assert set(rows) == {(c.window_s, c.model) for c in changes}
    assert all(facts(row) == (0, 0, 0, {}, {}, NO_MEASURES) for row in rows.values())


@given(st.lists(window_deltas, min_size=1, max_size=10))
def test_a_cell_read_back_is_the_cell_that_was_written(changes):
    cell = WindowCell()
    for change in changes:
        cell.apply(change, 7)
    key = ("prod", "m1", "chat", "GENERATION", "DEFAULT", "greeting", "3", "openai", "flex")
    row = window_row("p1", NOW_S, key, cell)
    again = window_cell(msgspec.json.decode(msgspec.json.encode(row), type=WindowRow))
    assert facts(window_row("p1", NOW_S, key, again)) == facts(row)
    assert not again.apply(changes[0], 7)
    assert again.apply(changes[0], 8)


def test_a_spend_cell_read_back_is_the_cell_that_was_written():
    row = SpendRow(
        project_id="p1",
        bucket_s=NOW_S,
        user_id="u",
        model="m",
        environment="e",
        row_version=5,
        total_cost_pico=-12,
        observation_count=3,
        error_count=1,
        input_tokens=5,
        output_tokens=-6,
        total_tokens=7,
        session_id="s",
    )
    assert spend_row("p1", NOW_S, spend_key_of_row(row), spend_cell(row)) == row


def spend(bucket_s, pico=1, user="u1"):
    return SpendDelta(bucket_s, user, "m1", "prod", pico, "t")


def test_several_deltas_of_a_record_may_change_one_cell():
    fold = fold_of()
    deltas = [Delta("p1", 0, n, [], [spend(NOW_S, 10)]) for n in range(3)]
    apply(fold, 4, deltas)
    [row] = [msgspec.json.decode(line, type=SpendRow) for line in fold.flush().spend]
    assert (row.total_cost_pico, row.row_version) == (30, 5)


def test_groups_beyond_the_horizon_start_empty_and_others_are_read_back():
    fold = fold_of(msgspec.structs.replace(START, spend_horizon_s=NOW_S, windows_horizon_s=NOW_S))
    late, new = Delta("p1", 0, 0, [], [spend(NOW_S)]), Delta("p1", 0, 1, [], [spend(NOW_S + 900)])
    assert fold.missing([late, new]) == Missing(set(), {("p1", NOW_S)})
    fold.load(Missing(set(), {("p1", NOW_S)}), [], [])
    assert not fold.missing([late, new])


def test_without_a_horizon_everything_is_read_back():
    fold = fold_of(msgspec.structs.replace(START, spend_horizon_s=None))
    assert fold.missing([Delta("p1", 0, 0, [], [spend(NOW_S + 10**6)])])


def test_rows_beyond_the_checkpoint_raise_the_horizon():
    checkpoint = with_rows_beyond(START, [60, 120], [900])
    assert (checkpoint.windows_horizon_s, checkpoint.spend_horizon_s) == (120, 900)
    assert with_rows_beyond(START, [], []) == START


def test_late_changes_are_counted_and_applied():
    fold = fold_of()
    old = WindowDelta(NOW_S - 90_000, "prod", "m1", "chat", 1, 0, 5, {}, {})
    applied = apply(fold, 0, [Delta("p1", 0, 0, [old], [])])
    assert applied.late == 1
    assert rows_of(fold)[NOW_S - 90_000, "m1"].total_cost_pico == 5


def test_groups_are_evicted_only_when_the_store_has_them():
    groups = Groups(WindowCell, -1)
    for start_s in (0, 60, 120):
        groups.cell(("p1", start_s), ("e", "m", "n"), now_s=start_s)
    assert groups.evict(10**9, cells_max=0, idle_before_s=0) == 0, "dirty"
    list(groups.take_dirty())
    assert groups.evict(10**9, cells_max=0, idle_before_s=0) == 0, "being written"
    groups.written(7)
    assert groups.evict(6, cells_max=0, idle_before_s=0) == 0, "written, not stored"
    assert groups.evict(7, cells_max=2, idle_before_s=0) == 1, "too many"
    assert groups.evict(7, cells_max=9, idle_before_s=61) == 1, "idle"
    assert groups.missing([("p1", 0), ("p1", 60), ("p1", 120)]) == {("p1", 0), ("p1", 60)}
    assert groups.cell_count == 1


def test_windows_are_evicted_when_their_sketches_have_too_many_bins():
    fold = fold_of()
    for start_s in (NOW_S, NOW_S + 10, NOW_S + 20):
        latencies = dict.fromkeys(range(100), 1)
        change = WindowDelta(
            start_s, "prod", "m1", "chat", 100, 0, 5, {}, latencies, ttft_bins=latencies
        )
        apply(fold, start_s, [Delta("p1", 0, start_s, [change], [])])
    groups = fold.windows
    assert groups.count_bins() == 600
    list(groups.take_dirty())
    groups.written(1)
    evict = partial(groups.evict, 1, cells_max=9, idle_before_s=0)
    assert evict(bins_max=600) == 0
    assert evict(bins_max=599) == 1
    assert groups.count_bins() == 400
    groups.cell(("p1", NOW_S + 20), next(iter(groups.of_project("p1")[NOW_S + 20].cells)), 0)
    assert evict(bins_max=0) == 1, "the changed one is not written yet"
    assert groups.count_bins() == groups.bin_count == 200
