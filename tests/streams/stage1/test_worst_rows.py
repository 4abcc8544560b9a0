"""Rows with the largest values in all fields fit into records.

The arithmetic is in ``streams.core.observations.limits``.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.observations.fold import FoldLimits
from streams.core.observations.limits import FIXED_BYTES_MAX, ROW_BYTES_MAX, row_limits
from streams.core.observations.metadata import Metadata, restore_metadata
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, Folding, observation
from tracemill.contract import COUNT_MAX, Event, Score, TraceAttributes, TraceUpdate

MIB = 2**20
WORST = ("\x00", '"', "\U0001f600")
NAMES = (
    *("name", "version", "model", "prompt_name", "service_name", "scope_name", "scope_version"),
    *("service_tier", "provider", "error_type"),
)


def worst_events(char: str, *, partial: bool) -> list[Event]:
    """Return events that set every field to its longest value, one event per large field."""
    long = char * 5_000
    vast = char * (6 * MIB // len(msgspec.json.encode(char)[1:-1]))
    amounts = {f"{n:03}" + char * 400: COUNT_MAX for n in range(90)}
    calls = [
        {
            "id": f"{n}" + char * 200,
            "type": "function",
            "function": {"name": char * 250 + str(n), "arguments": char * 200},
        }
        for n in range(400)
    ]
    metadata = json.dumps({f"{n}" + char * 900: [char * 50] for n in range(2_100)})
    common = {
        "partial": partial,
        "type": "GENERATION",
        "parent_id": long,
        "environment": long,
        "status_message": char * 110_000,
        "model_parameters": char * 110_000,
        "usage": amounts,
        "cost": amounts,
        **dict.fromkeys(NAMES, long),
    }
    stated = {
        "name": long,
        "user_id": long,
        "session_id": long,
        "release": long,
        "version": long,
        "external_id": long,
        "tags": tuple(f"{n:03}{long}" for n in range(400)),
    }
    large = [
        {"input": json.dumps({"tools": [call["function"] for call in calls], "x": char * 20_000})},
        {"output": json.dumps(calls)},
        {"metadata": metadata},
        {"input": vast},
        {"output": vast},
    ]
    return [
        observation(
            "o" * 5_000, ts=ts, trace=TraceAttributes(**stated, **fields), **common, **fields
        )
        for ts, fields in enumerate(large)
    ]


@pytest.mark.parametrize("char", WORST, ids=("control", "quote", "emoji"))
@pytest.mark.parametrize("partial", [False, True], ids=("whole", "partial"))
def test_every_row_of_the_worst_events_fits_into_a_record(char: str, partial: bool) -> None:
    folding = Folding(FoldLimits(100, 2**40, 10, LIMITS.dead_letters))
    for event in worst_events(char, partial=partial):
        effects = folding.fold(event)
        assert not effects.dead_letters
        for row in (*effects.observations, *effects.traces, *effects.deltas):
            assert len(msgspec.json.encode(row)) <= ROW_BYTES_MAX
        for large in (*effects.observations, *effects.traces):
            texts = [large.input, large.output, large.metadata, large.merge_state]
            held = sum(len(msgspec.json.encode(text)) for text in texts)
            assert len(msgspec.json.encode(large)) - held <= FIXED_BYTES_MAX


@pytest.mark.parametrize("char", WORST, ids=("control", "quote", "emoji"))
def test_the_worst_score_fits_into_a_record(char: str) -> None:
    long = char * 5_000
    names = (
        "id",
        "name",
        "observation_id",
        "session_id",
        "dataset_run_id",
        "environment",
        "config_id",
        "queue_id",
        "author_user_id",
        "trace_id",
    )
    score = Score(
        project_id="p",
        ts_us=NOW_US,
        data_type="TEXT",
        **dict.fromkeys(names, long),
        **dict.fromkeys(("string_value", "comment", "metadata"), char * 1_000_000),
    )
    (row,) = Folding().fold(score).scores
    assert len(msgspec.json.encode(row)) <= ROW_BYTES_MAX


@settings(max_examples=30)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=60),
            st.recursive(
                st.one_of(
                    st.text(max_size=300),
                    st.integers(),
                    st.floats(allow_nan=False, allow_infinity=False),
                    st.none(),
                ),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3),
                    st.dictionaries(st.text(max_size=9), inner, max_size=3),
                ),
                max_leaves=9,
            ),
            max_size=8,
        ),
        max_size=8,
    )
)
def test_merged_metadata_never_takes_more_than_it_may_and_is_counted_as_it_comes_back(said) -> None:
    limits = row_limits(40_000)
    metadata = Metadata()
    for mark, value in enumerate(said):
        metadata.merge(msgspec.json.encode(value).decode(), mark, limits)
        in_row = len(msgspec.json.encode(metadata.text()))
        in_row += len(msgspec.json.encode(msgspec.json.encode(metadata.logical_times()).decode()))
        assert in_row <= min(metadata.bytes + 100, limits.metadata_bytes_max + 100)
    assert restore_metadata(metadata.text(), metadata.logical_times()) == metadata


def test_many_updates_of_a_trace_and_of_a_generation_result_in_rows_that_fit() -> None:
    folding = Folding(FoldLimits(100, 2**40, 10, LIMITS.dead_letters))
    for ts in range(5):
        text = '"' * 4_400_000
        fields = [{"input": text}, {"output": text}, {"metadata": json.dumps({f"k{ts}": text})}][
            ts % 3
        ]
        effects = folding.fold(
            TraceUpdate(
                project_id="p", trace_id="t", ts_us=NOW_US + ts, trace=TraceAttributes(**fields)
            ),
            observation(ts=ts, partial=True, **({} if ts > 2 else fields)),
        )
        for row in (*effects.observations, *effects.traces):
            assert len(msgspec.json.encode(row)) <= ROW_BYTES_MAX
    reached = folding.core.take_reached()
    assert reached["text_bytes_max"] >= 4
    assert reached["metadata_bytes_max"] >= 1
