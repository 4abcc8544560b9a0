"""Statements may come in any order, any number of times, split over any number of lives: what is known in the end is the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow
from streams.core import metadata
from streams.core.lines import LINES
from streams.core.merge import merged_of, merged_part, write_statements
from tests.streams.stage1.stage1_folding import NOW_US, Folding, last_row, last_trace, observation
from tracemill.contract import TraceAttributes, encode_event

scalars = st.one_of(
    st.integers(0, 3), st.sampled_from(["x", "y"]), st.lists(st.integers(0, 2), max_size=2)
)
objects = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.one_of(scalars, st.none()), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(scalars, inner), max_size=3),
    max_leaves=6,
)
statements = st.builds(
    lambda value, mark: metadata.statement(json.dumps(value), mark), objects, st.integers(0, 4)
)


@given(statements, statements)
def test_metadata_merges_the_same_either_way(one, other):
    assert metadata.merge(one, other) == metadata.merge(other, one)


@given(statements, statements, statements)
def test_metadata_merges_the_same_however_it_is_grouped(one, two, three):
    left = metadata.merge(metadata.merge(one, two), three)
    assert left == metadata.merge(one, metadata.merge(two, three))


@given(statements, statements)
def test_metadata_merged_again_stays_as_it_is(one, other):
    both = metadata.merge(one, other)
    assert metadata.merge(both, other) == both
    assert metadata.merge(both, both) == both


@given(st.lists(statements, max_size=4))
def test_metadata_comes_back_from_its_row(said):
    merged = metadata.nothing()
    for statement in said:
        merged = metadata.merge(merged, statement)
    restored = metadata.restored(metadata.text_of(merged), metadata.marks_of(merged))
    assert restored == merged


parts = st.builds(
    lambda ts, said: observation(ts=ts, partial=True, **said),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["", "a", "b"]),
            "start_us": st.integers(NOW_US, NOW_US + 3),
            "end_us": st.integers(NOW_US - 2, NOW_US + 5),
            "environment": st.sampled_from(["e", "f"]),
            "model": st.sampled_from(["m", "?"]),
            "usage": st.sampled_from([{}, {"input": 2}, {"output": 3}]),
            "input": st.sampled_from(["", "i", "j"]),
            "metadata": objects.map(json.dumps),
            "app_root": st.booleans(),
        },
    ),
)
wholes = st.builds(
    lambda ts, start, name: observation(
        ts=ts,
        start_us=NOW_US + start,
        name=name,
        input=f"{name} {start}",
        trace=TraceAttributes(user_id=name, tags=(name,)),
    ),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from(["a", "b"]),
)


@given(
    st.lists(st.one_of(parts, wholes), min_size=1, max_size=6), st.randoms(use_true_random=False)
)
def test_any_order_and_any_repetition_of_the_same_events_gives_the_same_rows(events, chance):
    shuffled = [*events, *chance.choices(events, k=len(events))]
    chance.shuffle(shuffled)
    rows = []
    for order in (events, shuffled):
        folding = Folding()
        row = trace = None
        for event in order:
            effects = folding.fold(event, *(each for each in order if each.partial))
            if effects.observations:
                row = last_row(effects)
            if effects.traces:
                trace = last_trace(effects)
        # Of a statement that was covered before it came, and of one that was covered after, different traces stay.
        row.merge_state = ""
        row.row_version = trace.row_version = 0
        rows.append((row, trace))
    assert rows[0] == rows[1]


@given(st.lists(parts, min_size=1, max_size=5), st.integers(0, 5))
def test_what_is_known_of_an_observation_comes_back_from_its_row(events, split):
    lines = [LINES.decode(encode_event(event)) for event in events]
    merged = None
    for at, line in enumerate(lines):
        merged = merged_part(merged, line, line.ts_us)
        if at == split:
            row = ObservationRow(project_id="p", trace_id="t", id="o", start_us=0, row_version=0)
            write_statements(merged, row)
            assert merged_of(row) == merged
