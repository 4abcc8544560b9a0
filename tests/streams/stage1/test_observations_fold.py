from __future__ import annotations

import pytest

from streams.core.observations.fold import FoldLimits
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import trace_hash
from tests.streams.stage1.stage1_folding import (
    LIMITS,
    NOW_US,
    Folding,
    last_row,
    last_trace,
    observation,
)
from tracemill.contract import TraceAttributes, TraceUpdate, decode_event, encode_event

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


def part(id_: str = "o", ts: int = 0, **said: object):
    return observation(id_, ts, partial=True, **said)


def test_a_whole_observation_becomes_a_row_a_trace_and_a_delta():
    effects = Folding().fold(
        observation(
            type="GENERATION",
            name="chat",
            start_us=NOW_US,
            end_us=NOW_US + 5_000,
            model="m",
            usage={"input": 10, "output": 2},
            input='say "hi"\n',
        )
    )
    row = last_row(effects)
    assert (row.name, row.input, row.usage) == (
        "chat",
        'say "hi"\n',
        {"input": 10, "output": 2, "total": 12},
    )
    assert (row.cost_pico, row.total_cost_pico, row.cost_source, row.price_id) == (
        {"input": 30, "output": 6},
        36,
        "computed",
        "price-m",
    )
    trace = last_trace(effects)
    assert (trace.observation_count, trace.total_cost_pico, trace.name) == (1, 36, "chat")
    (delta,) = effects.deltas
    assert (delta.project_id, delta.offset, delta.windows[0].observations) == ("p", 1, 1)
    assert delta.spend[0].cost_pico == 36


def test_the_same_event_again_changes_nothing():
    folding = Folding()
    event = observation(name="a", model="m", usage={"input": 1})
    folding.fold(event)
    again = folding.fold(event)
    assert (again.observations, again.traces, again.deltas, again.unchanged) == ([], [], [], 1)


def test_a_later_whole_event_replaces_the_earlier_one_in_all_totals():
    folding = Folding()
    first = folding.fold(observation(name="a", start_us=NOW_US, model="m", usage={"input": 5}))
    effects = folding.fold(
        observation(ts=1, name="a", start_us=NOW_US, model="m", usage={"input": 7})
    )
    assert last_row(effects).row_version > last_row(first).row_version
    assert last_trace(effects).total_cost_pico == 21
    (window,) = effects.deltas[0].windows
    assert (window.observations, window.cost_pico, window.usage["input"]) == (0, 6, 2)
    assert effects.deltas[0].spend[0].cost_pico == 6


def test_an_earlier_whole_event_that_comes_late_changes_nothing():
    folding = Folding()
    folding.fold(observation(ts=5, name="new"))
    assert folding.fold(observation(ts=1, name="old")).observations == []


def test_partial_updates_merge_field_by_field_and_empty_values_change_nothing():
    folding = Folding()
    folding.fold(part(ts=2, name="late", output="done", start_us=NOW_US, metadata='{"a":{"b":1}}'))
    effects = folding.fold(
        part(ts=1, name="early", input="question", metadata='{"a":{"c":2},"d":3}'),
        part(ts=3, name="", output="", metadata="{}", usage={}),
    )
    row = last_row(effects)
    assert (row.name, row.input, row.output) == ("late", "question", "done")
    assert row.metadata == '{"a":{"b":1,"c":2},"d":3}'


def test_nulls_in_metadata_stay_at_any_depth_and_in_any_kind_of_event():
    text = '{"a":null,"b":{"c":null,"d":[null]}}'
    folding = Folding()
    trace = TraceAttributes(metadata=text)
    for event in (observation("whole", metadata=text, trace=trace), part("part", metadata=text)):
        effects = folding.fold(event)
        assert last_row(effects).metadata == text
    effects = folding.fold(
        observation("both", metadata=text, trace=trace),
        part("both", ts=1, metadata='{"b":{"e":null}}'),
    )
    assert last_row(effects).metadata == '{"a":null,"b":{"c":null,"d":[null],"e":null}}'
    assert last_trace(effects).metadata == text


def test_a_null_in_metadata_replaces_an_earlier_value_and_a_later_value_replaces_it():
    folding = Folding()
    folding.fold(part(ts=2, metadata='{"a":null,"b":null}'), part(ts=1, metadata='{"a":1}'))
    row = last_row(folding.fold(part(ts=3, metadata='{"b":{"c":2}}')))
    assert row.metadata == '{"a":null,"b":{"c":2}}'


@pytest.mark.parametrize("first_us", [NOW_US - 1, NOW_US + 1_010])
def test_a_first_token_outside_of_its_observation_is_kept_as_sent_and_counted(first_us: int):
    times = {"start_us": NOW_US, "completion_start_us": first_us, "end_us": NOW_US + 9}
    effects = Folding().fold(observation("a", **times), part("b", **times))
    rows = effects.observations
    assert [row.completion_start_us for row in rows] == [0, 0]
    assert [row.sent_completion_start_us for row in rows] == [first_us, first_us]
    assert effects.dropped == {"completion_start_us": 2}


def test_a_first_token_that_was_rounded_beyond_the_end_counts_as_the_end():
    times = {"start_us": NOW_US, "completion_start_us": NOW_US + 1_000, "end_us": NOW_US + 9}
    for row in Folding().fold(observation("a", **times), part("b", **times)).observations:
        assert row.completion_start_us == NOW_US + 9
        assert row.sent_completion_start_us == NOW_US + 1_000


def test_a_first_token_is_checked_again_when_start_or_end_come_later():
    folding = Folding()
    first_us, last_us = NOW_US + 5_000, NOW_US + 6_000
    folding.fold(part(ts=1, completion_start_us=first_us))
    effects = folding.fold(part(ts=2, end_us=NOW_US + 3_000))
    row = last_row(effects)
    assert (row.completion_start_us, row.sent_completion_start_us) == (0, first_us)
    assert effects.dropped == {"completion_start_us": 1}
    row = last_row(folding.fold(part(ts=3, end_us=last_us)))
    assert (row.completion_start_us, row.sent_completion_start_us) == (first_us, 0)
    assert row.end_us == last_us


def test_the_first_start_and_environment_are_kept():
    folding = Folding()
    folding.fold(part(ts=2, start_us=NOW_US + 7, environment="late"))
    row = last_row(folding.fold(part(ts=1, start_us=NOW_US + 3, environment="early")))
    assert (row.start_us, row.environment) == (NOW_US + 3, "early")
    row = last_row(folding.fold(part(ts=3, start_us=NOW_US, environment="later")))
    assert (row.start_us, row.environment) == (NOW_US + 3, "early")


def test_an_end_before_the_start_is_the_start_and_the_level_has_a_default():
    row = last_row(Folding().fold(observation(start_us=NOW_US, end_us=NOW_US - 5)))
    assert (row.end_us, row.level, row.type, row.environment) == (
        NOW_US,
        "DEFAULT",
        "SPAN",
        "default",
    )


def test_a_partial_update_of_a_whole_event_keeps_its_texts():
    folding = Folding()
    effects = folding.fold(
        observation(ts=1, name="whole", input="question", metadata='{"k":1}'),
        part(ts=2, output="answer", metadata='{"l":2}'),
    )
    row = last_row(effects)
    assert (row.name, row.input, row.output) == ("whole", "question", "answer")
    assert row.metadata == '{"k":1,"l":2}'


def test_a_cost_sent_by_the_client_replaces_the_computed_one():
    row = last_row(Folding().fold(observation(model="m", usage={"input": 5}, cost={"total": 99})))
    assert (row.total_cost_pico, row.cost_source) == (99, "given")


@pytest.mark.parametrize(
    ("given", "kept"),
    [(9, 15), (13, 15), (14, 0), (15, 0), (16, 0), (17, 15), (99, 15), (0, 15)],
)
def test_a_computed_cost_is_kept_beside_a_given_one_that_differs_by_more_than_a_tenth(given, kept):
    effects = Folding().fold(observation(model="m", usage={"input": 5}, cost={"total": given}))
    row = last_row(effects)
    assert (row.total_cost_pico, row.cost_source) == (given, "given")
    assert (row.computed_cost_pico, row.price_id) == (kept, "price-m" if kept else "")
    assert effects.costs_that_differ() == bool(kept)
    assert last_trace(effects).total_cost_pico == given


def test_a_given_cost_is_not_compared_with_that_of_usage_without_a_price():
    row = last_row(Folding().fold(observation(model="?", usage={"input": 5}, cost={"total": 99})))
    assert (row.total_cost_pico, row.computed_cost_pico, row.price_id) == (99, 0, "")


def test_a_later_usage_replaces_the_reported_usage_of_an_earlier_one():
    sent = '{"prompt_tokens":5}'
    first = part(ts=1, usage={"input": 5}, reported_usage=sent)
    later = part(ts=2, usage={"input": 7}, reported_usage="{}")
    for events in ((first, later), (later, first)):
        row = last_row(Folding().fold(*events))
        assert (row.provided_usage, row.reported_usage) == ({"input": 7}, "{}")
    assert last_row(Folding().fold(first)).reported_usage == sent


def test_a_model_without_a_price_is_kept_as_unpriced():
    effects = Folding().fold(observation(model="?", usage={"input": 5}))
    assert last_row(effects).cost_source == "unpriced"
    assert (last_trace(effects).unpriced_count, effects.unpriced) == (1, 1)


def test_missing_usage_is_estimated_from_the_texts_and_marked():
    class TenAndTwo:
        def usage_of(self, model, input_text, output_text):
            assert (input_text, output_text) == ("question", "answer")
            return {"input": 10, "output": 2}

    event = observation(type="GENERATION", model="m", input="question", output="answer")
    row = last_row(Folding(tokens=TenAndTwo()).fold(event))
    assert (row.usage_estimated, row.total_cost_pico, row.provided_usage) == (1, 36, {})
    assert row.usage == {"input": 10, "output": 2, "total": 12}


def test_a_call_that_failed_is_not_estimated():
    class Never:
        def usage_of(self, model, input_text, output_text):
            raise AssertionError

    event = observation(type="GENERATION", model="m", input="question", level="ERROR")
    row = last_row(Folding(tokens=Never()).fold(event))
    assert (row.usage, row.usage_estimated, row.cost_source) == ({}, 0, "none")


def test_counts_of_zero_that_were_given_are_kept_and_add_nothing():
    folding = Folding()
    effects = folding.fold(observation("a", model="m", usage={"input": 10, "output": 0}))
    assert last_row(effects).usage == {"input": 10, "output": 0, "total": 10}
    assert last_trace(effects).usage == {"input": 10, "total": 10}
    effects = folding.fold(observation("b", usage={"output": 3}), observation("b", ts=1))
    assert last_trace(effects).usage == {"input": 10, "total": 10}


@pytest.mark.parametrize(
    ("dimension", "attributes", "value"),
    [
        ("user_id", {"user_id": "ann"}, "ann"),
        ("session_id", {"session_id": "s"}, "s"),
        ("tags", {"tags": ["b", "a"]}, '["a","b"]'),
        ("trace_name", {"name": "chat"}, "chat"),
        ("user_tier", {"metadata": '{"user_tier":"pro"}'}, "pro"),
    ],
)
def test_spend_is_reattributed_when_an_attribute_of_the_trace_becomes_known(
    dimension, attributes, value
):
    folding = Folding()
    folding.fold(observation(start_us=NOW_US, model="m", usage={"input": 5}, name=None))
    update = TraceUpdate(
        project_id="p", trace_id="t", ts_us=NOW_US, trace=TraceAttributes(**attributes)
    )
    effects = folding.fold(update)
    moved = {getattr(cell, dimension): cell.cost_pico for cell in effects.deltas[0].spend}
    assert moved == {"": -15, value: 15}
    assert effects.deltas[0].windows == []


def test_calls_without_a_price_are_counted_in_spend_and_move_with_the_user():
    folding = Folding()
    effects = folding.fold(observation(model="of nobody", usage={"input": 5}))
    assert [cell.unpriced for cell in effects.deltas[0].spend] == [1]
    effects = folding.fold(
        TraceUpdate(
            project_id="p", trace_id="t", ts_us=NOW_US, trace=TraceAttributes(user_id="ann")
        )
    )
    moved = {cell.user_id: cell.unpriced for cell in effects.deltas[0].spend}
    assert moved == {"": -1, "ann": 1}


def test_a_start_in_another_minute_deletes_the_old_row_and_moves_what_it_counted():
    folding = Folding()
    folding.fold(observation(start_us=NOW_US, name="a"))
    effects = folding.fold(observation(ts=1, start_us=NOW_US + MINUTE_US, name="a"))
    row, deleted = effects.observations
    assert (deleted.is_deleted, deleted.start_us) == (1, NOW_US)
    assert deleted.row_version == row.row_version
    counted = {cell.window_s: cell.observations for cell in effects.deltas[0].windows}
    assert counted == {NOW_US // 1_000_000: -1, NOW_US // 1_000_000 + 60: 1}


def test_a_trace_that_begins_on_another_day_deletes_its_old_row():
    folding = Folding()
    folding.fold(observation("a", start_us=NOW_US))
    row, deleted = folding.fold(observation("b", start_us=NOW_US - DAY_US)).traces
    assert (row.start_us, deleted.is_deleted) == (NOW_US - DAY_US, 1)
    assert deleted.start_us // DAY_US == NOW_US // DAY_US


def test_the_root_names_its_trace_until_the_trace_has_a_name():
    folding = Folding()
    effects = folding.fold(
        observation("child", name="search", parent_id="root", level="ERROR", environment="prod"),
        observation("root", ts=1, name="agent", environment="prod"),
    )
    trace = last_trace(effects)
    assert (trace.name, trace.root_observation_id, trace.environment) == ("agent", "root", "prod")
    assert (trace.level, trace.error_count) == ("ERROR", 1)
    update = TraceUpdate(
        project_id="p",
        trace_id="t",
        ts_us=NOW_US,
        environment="stated",
        trace=TraceAttributes(name="chat", tags=("b", "a"), public=True, input="hello"),
    )
    trace = last_trace(folding.fold(update))
    assert (trace.name, trace.environment, trace.tags) == ("chat", "stated", ("a", "b"))
    assert (trace.public, trace.input) == (1, "hello")


def test_traces_beyond_the_limit_are_evicted_and_read_back():
    limits = FoldLimits(4, 1_000_000, 10, LIMITS.dead_letters)
    folding = Folding(limits)
    folding.fold(*(observation(str(number), trace_id=f"t{number}") for number in range(5)))
    cache = folding.core.cache
    assert cache.observations <= 4
    assert ("p", "t0") in cache.seen
    assert ("p", "t0") not in cache.traces
    assert cache.evicted_chunk == 1
    assert folding.core.take_reached() == {"resident_observations_max": cache.evicted}


def test_texts_beyond_the_limit_are_evicted():
    limits = FoldLimits(100, 50, 10, LIMITS.dead_letters)
    folding = Folding(limits)
    folding.fold(part("a", trace_id="t1", input="x" * 40), part("b", trace_id="t2", input="y" * 40))
    assert folding.core.cache.text_bytes <= 50
    assert folding.core.take_reached().keys() == {"resident_text_bytes_max"}


def test_the_hash_of_a_trace_is_the_stores():
    assert trace_hash(("p", "t")) == 0xB543AC74DD871A0C  # SELECT halfMD5('p/t')


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_how_records_are_grouped_into_chunks_changes_no_version(size: int):
    events = [
        part("a", ts=1, name="x"),
        observation("b", ts=1, name="y"),
        part("a", ts=2, name="z"),
        observation("b", ts=3, name="w"),
        part("a", ts=4, output="done"),
        TraceUpdate(project_id="p", trace_id="t", ts_us=NOW_US, trace=TraceAttributes(user_id="u")),
    ]
    alone, grouped = Folding(), Folding()
    rows = {}
    for event in events:
        effects = alone.fold(event)
        rows |= {row.id: row for row in effects.observations}
        rows["trace"] = last_trace(effects)
    records = [
        read(SourceRecord(number, NOW_US + number * 1000, encode_event(event)))
        for number, event in enumerate(events, start=1)
    ]
    chunked = {}
    for chunk, first in enumerate(range(0, len(records), size), start=1):
        group = records[first : first + size]
        effects = grouped.core.fold(group, grouped.core.needs(group), chunk)
        chunked |= {row.id: row for row in effects.observations}
        chunked["trace"] = last_trace(effects)
    assert {key: row.row_version for key, row in chunked.items()} == {
        key: row.row_version for key, row in rows.items()
    }


def test_a_full_trace_rejects_new_observations_and_accepts_corrections():
    limits = FoldLimits(100, 1_000, 10, LIMITS.dead_letters, trace_observations_max=2)
    folding = Folding(limits)
    refused = observation("c", input="question", trace=TraceAttributes(user_id="ann"))
    effects = folding.fold(observation("a"), observation("b"), refused, refused)
    assert [row.id for row in effects.observations] == ["a", "b"]
    assert (last_trace(effects).observation_count, last_trace(effects).user_id) == (2, "")
    letters = effects.dead_letters
    assert [row.reason for row in letters] == ["trace_full"] * 2
    assert len({row.id for row in letters}) == 2
    assert decode_event(letters[0].payload) == refused
    assert effects.unchanged == 0
    assert folding.core.take_reached() == {"trace_observations_max": 2}
    effects = folding.fold(observation("b", ts=1, name="corrected"), observation(trace_id="other"))
    assert [row.id for row in effects.observations] == ["b", "o"]
