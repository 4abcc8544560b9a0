"""Tests that merging updates does not depend on their order, repetition or grouping."""

from __future__ import annotations

import json
import os
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow
from streams.core.observations.bounding import Bounds
from streams.core.observations.limits import RowLimits
from streams.core.observations.lines import LINES
from streams.core.observations.merge import (
    merge_partial,
    merge_whole,
    restore_merged,
    write_fields,
    write_merge_state,
)
from streams.core.observations.metadata import CUT_KEY, Metadata, restore_metadata
from tests.streams.stage1.stage1_folding import NOW_US, Folding, last_row, last_trace, observation
from tracemill.contract import TraceAttributes, encode_event

EXAMPLES = int(os.environ.get("TRACEMILL_MERGE_EXAMPLES", "200"))

scalars = st.one_of(
    st.integers(0, 3), st.sampled_from(["x", "y"]), st.lists(st.integers(0, 2), max_size=2)
)
objects = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.one_of(scalars, st.none()), max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from("abc"), st.one_of(scalars, st.none(), inner), max_size=3
    ),
    max_leaves=6,
)
updates = st.tuples(objects.map(json.dumps), st.integers(0, 4))


def merged(sent: list[tuple[str, int]], bounds: Bounds | None = None) -> Metadata:
    metadata = Metadata()
    for text, logical_ts in sent:
        (bounds or Bounds()).merge_metadata(metadata, text, logical_ts)
    return metadata


@settings(max_examples=EXAMPLES)
@given(st.lists(updates, max_size=5), st.randoms(use_true_random=False))
@example(
    [('{"b": {"a": 0}}', 1), ('{"b": {"a": {"a": 0}}}', 2), ('{"b": 0}', 2)],
    Random(0),
)
def test_metadata_merges_the_same_in_any_order_and_any_number_of_times(sent, chance):
    again = [*sent, *chance.choices(sent, k=len(sent))] if sent else []
    chance.shuffle(again)
    assert merged(again) == merged(sent)


@pytest.mark.parametrize(
    "sent",
    [
        {"a": {}},
        {"a": {"b": {}, "c": None}, "d": [], "e": [{}, [], None]},
        {"a": {"b": {"c": {"d": {}}}}, "n": None},
    ],
)
def test_empty_objects_lists_and_nulls_read_back_as_sent(sent):
    assert json.loads(merged([(json.dumps(sent), 1)]).text()) == sent


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (['{"a": {"b": 1}}', '{"a": {}}'], {"a": {"b": 1}}),
        (['{"a": {}}', '{"a": {"b": 1}}'], {"a": {"b": 1}}),
        (['{"a": 1}', '{"a": {}}'], {"a": {}}),
        (['{"a": {}}', '{"a": 1}'], {"a": 1}),
        (['{"a": {"b": 1}}', '{"a": 1}', '{"a": {}}'], {"a": {}}),
        (['{"a": {}}', "{}"], {"a": {}}),
    ],
)
def test_a_later_empty_object_replaces_a_scalar_but_no_members(sent, read):
    updates = list(zip(sent, range(1, 9), strict=False))
    assert json.loads(merged(updates).text()) == read
    assert json.loads(merged(updates[::-1]).text()) == read


@given(st.lists(updates, max_size=4))
def test_metadata_comes_back_from_its_row(sent):
    metadata = merged(sent)
    assert restore_metadata(metadata.text(), metadata.logical_times()) == metadata


@given(st.lists(updates, max_size=12), st.integers(0, 12))
def test_too_much_metadata_is_cut_the_same_whether_or_not_it_was_read_back_in_between(sent, split):
    tight = Bounds(RowLimits(1_000, 700))
    resident = merged(sent, tight)
    metadata = merged(sent[:split], tight)
    metadata = restore_metadata(metadata.text(), metadata.logical_times())
    for text, logical_ts in sent[split:]:
        tight.merge_metadata(metadata, text, logical_ts)
    assert metadata == resident
    in_row = len(json.dumps(metadata.text())) + len(
        json.dumps(json.dumps(metadata.logical_times()))
    )
    assert in_row <= 700 + 100
    if CUT_KEY not in metadata.root.children:
        assert metadata.text() == merged(sent).text()


parts = st.builds(
    lambda ts, sent: observation(ts=ts, partial=True, **sent),
    st.integers(0, 3),
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["", "a", "b"]),
            "start_us": st.integers(NOW_US, NOW_US + 3),
            "end_us": st.integers(NOW_US - 2, NOW_US + 5),
            "completion_start_us": st.sampled_from(
                (NOW_US - 1, NOW_US + 2, NOW_US + 6, NOW_US + 2_000)
            ),
            "environment": st.sampled_from(["e", "f"]),
            "model": st.sampled_from(["m", "?"]),
            "usage": st.sampled_from([{}, {"input": 2}, {"output": 3}]),
            "input": st.sampled_from(["", "i", "j"]),
            "metadata": objects.map(json.dumps),
            "app_root": st.booleans(),
            "app_entry": st.booleans(),
        },
    ),
)
wholes = st.builds(
    lambda ts, start, name: observation(
        ts=ts,
        start_us=NOW_US + start,
        completion_start_us=NOW_US + 3 * start - 1,
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
        # The merge state depends on the order, but never what the row's other fields hold.
        first_us, end_us = row.completion_start_us, row.end_us or row.completion_start_us
        assert not first_us or row.start_us <= first_us <= end_us
        row.merge_state = ""
        row.row_version = trace.row_version = 0
        rows.append((row, trace))
    assert rows[0] == rows[1]


@given(st.lists(parts, min_size=1, max_size=5), st.integers(0, 5))
def test_merged_updates_are_restored_from_their_row(events, split):
    lines = [LINES.decode(encode_event(event)) for event in events]
    merged = None
    for at, line in enumerate(lines):
        merged = merge_partial(merged, line, line.ts_us, Bounds())
        if at == split:
            row = ObservationRow(project_id="p", trace_id="t", id="o", start_us=0, row_version=0)
            write_fields(merged, row)
            write_merge_state(merged, row)
            assert restore_merged(row) == merged


def test_the_merge_state_in_rows_keeps_the_keys_that_earlier_versions_wrote():
    row = ObservationRow(project_id="p", trace_id="t", id="o", start_us=0, row_version=0)
    first, second = observation(start_us=7, environment="e", ts=8), observation(partial=True, ts=9)
    merged = None
    for event in (first, second):
        line = LINES.decode(encode_event(event))
        if line.partial:
            merged = merge_partial(merged, line, line.ts_us, Bounds())
        else:
            merged = merge_whole(merged, line, line.ts_us, 7, "rank", Bounds())
    write_merge_state(merged, row)
    assert json.loads(row.merge_state).keys() == {
        "first_us", "marks", "whole_mark", "whole_rank", "start_mark", "environment_mark",
        "metadata"
    }  # fmt: skip
