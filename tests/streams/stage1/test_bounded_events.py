"""Oversized fields of events are cut deterministically and counted."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.observations.fold import FoldLimits
from streams.core.observations.limits import (
    DIMENSION_CHARS_MAX,
    ID_CHARS_MAX,
    METADATA_KEYS_MAX,
    OTHER_USAGE,
    ROW_BYTES_MAX,
    TRACE_TAGS_MAX,
    TRACE_USAGE_TYPES_MAX,
    USAGE_TYPES_MAX,
)
from streams.core.observations.metadata import CUT_KEY
from streams.core.observations.reading import SourceRecord, read
from tests.streams.stage1.stage1_folding import (
    LIMITS,
    NOW_US,
    Folding,
    last_row,
    last_trace,
    observation,
)
from tracemill.contract import Score, TraceAttributes, TraceUpdate, encode_event

MIB = 2**20


def roomy() -> Folding:
    return Folding(FoldLimits(1_000, 256 * MIB, 10, LIMITS.dead_letters))


def told(ts: int = 0, **said: object) -> TraceUpdate:
    return TraceUpdate(
        project_id="p", trace_id="t", ts_us=NOW_US + ts, trace=TraceAttributes(**said)
    )


def test_long_names_are_cut_and_different_ones_stay_different():
    folding = Folding()
    one, other = "n" * 5_000 + "1", "n" * 5_000 + "2"
    effects = folding.fold(
        observation(one, name=one, model=one, environment=one, trace=TraceAttributes(user_id=one)),
        observation(other, parent_id=one, name='"' * 2 * MIB),
    )
    first, second = effects.observations
    assert first.id != second.id
    assert second.parent_id == first.id == first.name == first.model == first.user_id
    assert first.id.startswith("n" * 900)
    assert (len(first.id), len(first.environment)) == (ID_CHARS_MAX, DIMENSION_CHARS_MAX)
    assert len(second.name) == ID_CHARS_MAX
    assert folding.core.take_reached()["name_chars_max"] == 8
    again = Folding().fold(observation(one)).observations
    assert again[0].id == first.id


def test_a_trace_with_too_long_an_id_is_refused_and_the_others_count():
    folding = Folding()
    effects = folding.fold(observation(trace_id="t" * 1_001), observation())
    assert [row.reason for row in effects.dead_letters] == ["long_identity"]
    assert len(effects.observations) == 1


def test_usage_types_beyond_the_limit_are_counted_together():
    usage = {f"kind-{number:04}": 1 for number in range(600)} | {"input": 5, "total": 605}
    row = last_row(Folding().fold(observation(usage=usage, cost=usage)))
    assert len(row.usage) == USAGE_TYPES_MAX
    assert (row.usage["input"], row.usage["total"]) == (5, 605)
    assert sum(row.usage.values()) == 2 * 605
    assert row.usage[OTHER_USAGE] > 500
    assert row.total_cost_pico == 605


def test_an_event_that_brings_its_trace_too_many_usage_types_is_refused():
    folding = Folding()
    events = [
        observation(f"o{first}", usage={f"kind-{first}-{n}": 1 for n in range(50)})
        for first in range(TRACE_USAGE_TYPES_MAX // 50 + 5)
    ]
    effects = folding.fold(*events)
    assert {row.reason for row in effects.dead_letters} == {"trace_full"}
    assert len(last_trace(effects).usage) <= TRACE_USAGE_TYPES_MAX
    assert len(effects.observations) + len(effects.dead_letters) == len(events)
    assert folding.core.take_reached()["trace_amounts_max"] == len(effects.dead_letters)


def test_the_same_tags_are_kept_in_any_order_of_arrival():
    events = [told(ts=n, tags=(f"tag-{n:04}", "x" * 300)) for n in range(TRACE_TAGS_MAX + 50)]
    events.append(told(tags=tuple(f"more-{n:04}" for n in range(TRACE_TAGS_MAX + 9))))
    tags = []
    for order in (events, events[::-1]):
        folding = Folding()
        for event in order:
            effects = folding.fold(event)
            if effects.traces:
                row = last_trace(effects)
        tags.append(row.tags)
    assert tags[0] == tags[1]
    assert len(tags[0]) == TRACE_TAGS_MAX
    assert CUT_KEY in tags[0]


@pytest.mark.parametrize("nested", [False, True])
def test_metadata_of_very_many_keys_is_cut_with_a_note(nested: bool):
    keys = {f"key-{number}": number for number in range(600_000)}
    text = msgspec.json.encode({"a": keys} if nested else keys).decode()
    folding = roomy()
    effects = folding.fold(told(metadata=text), observation(partial=True, metadata=text))
    for row in (last_row(effects), last_trace(effects)):
        metadata = msgspec.json.decode(row.metadata)
        kept = metadata["a"] if nested else metadata
        assert METADATA_KEYS_MAX - 3 < len(kept) <= METADATA_KEYS_MAX
        assert CUT_KEY in metadata
    assert folding.core.take_reached()["metadata_bytes_max"] >= 2
    later = folding.fold(told(ts=1, metadata='{"key-0":"later","new":1}'))
    metadata = msgspec.json.decode(last_trace(later).metadata)
    assert nested or metadata["key-0"] == "later"
    assert "new" not in metadata


def test_rows_of_any_merged_updates_fit_into_a_record():
    folding = roomy()
    nasty = "\x00" * (2 * MIB)
    quotes = '{"a":"%s"}' % ('\\"' * (2 * MIB))
    sizes = []
    for ts, field in enumerate(("input", "output", "metadata", "status_message")):
        text = quotes if field == "metadata" else nasty
        trace = {} if field == "status_message" else {field: text}
        effects = folding.fold(
            observation(ts=ts, partial=True, trace=TraceAttributes(**trace), **{field: text})
        )
        rows = (effects.observations[-1], effects.traces[-1])
        sizes += [len(msgspec.json.encode(row)) for row in rows]
    assert 10 * MIB < max(sizes) <= ROW_BYTES_MAX
    assert "(cut: the first" in last_row(effects).input
    assert "(cut: the first" in last_trace(effects).output
    assert folding.core.take_reached()["text_bytes_max"] >= 4


def test_a_whole_event_keeps_texts_that_fit_together():
    folding = roomy()
    effects = folding.fold(observation(input="x" * 7_900_000, metadata='{"a":1}'))
    assert last_row(effects).input == "x" * 7_900_000
    effects = folding.fold(observation(ts=1, input="x" * 7_900_000, output="y" * 7_900_000))
    assert len(msgspec.json.encode(effects.observations[-1])) <= ROW_BYTES_MAX
    metadata = msgspec.json.encode({f"k{n}": "v" * 500 for n in range(9_000)}).decode()
    effects = folding.fold(
        observation(ts=2, input="x" * 5_000_000, output="y" * 5_000_000, metadata=metadata)
    )
    assert CUT_KEY in msgspec.json.decode(last_row(effects).metadata)
    assert len(msgspec.json.encode(effects.observations[-1])) <= ROW_BYTES_MAX


def test_a_score_is_cut_where_it_is_too_long():
    score = Score(
        project_id="p",
        id="s" * 3_000,
        ts_us=NOW_US,
        name="n" * 3_000,
        data_type="TEXT",
        trace_id="t" * 3_000,
        string_value="v" * 3_000_000,
        comment="c" * 3_000_000,
        metadata="m" * 3_000_000,
    )
    (row,) = Folding().fold(score).scores
    assert (len(row.id), len(row.name), len(row.trace_id)) == (ID_CHARS_MAX,) * 3
    assert 6 * len(row.string_value + row.comment + row.metadata) < ROW_BYTES_MAX


def test_parameters_that_are_too_long_keep_the_conditions_of_prices():
    parameters = '{"tools":"%s","service_tier":"flex"}' % ("x" * 200_000)
    row = last_row(Folding().fold(observation(model="m", model_parameters=parameters)))
    assert msgspec.json.decode(row.model_parameters)["service_tier"] == "flex"
    assert len(row.model_parameters) < 1_000


def test_a_refused_line_of_any_length_has_a_short_reason():
    line = encode_event(observation(name="x")).replace(b'"name":"x"', b'"type":"%s"' % (b"x" * MIB))
    (letter,) = Folding().fold_lines([line]).dead_letters
    assert len(letter.detail) <= 2_100


def test_an_event_within_its_limits_is_read_as_it_is():
    lines = [encode_event(each) for each in (observation("i" * ID_CHARS_MAX), told(tags=("x",)))]
    record = read(SourceRecord(1, NOW_US, b"\n".join(lines)))
    assert not record.rejections
    assert not record.reached
