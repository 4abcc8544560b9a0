"""The reader understands every version of the contract, and ignores unknown fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracemill.contract import (
    Event,
    Level,
    Observation,
    ObservationType,
    Score,
    ScoreDataType,
    ScoreSource,
    TraceAttributes,
    TraceUpdate,
    decode_event,
    encode_event,
)
from tracemill.partitioning import partition_key, partition_of

FOLDER = Path(__file__).parent
FIXTURES = sorted(FOLDER.glob("v*/*.json"))
NEWEST = max(path.parent for path in FIXTURES)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_line_ever_written_is_read_without_loss(path: Path) -> None:
    written = json.loads(path.read_text())
    event = decode_event(path.read_bytes())
    known = {k: v for k, v in written.items() if k not in ("kind", "a_field_of_tomorrow")}
    assert _differences(_all_fields(event), known) == []
    assert decode_event(encode_event(event)) == event


def _differences(read: dict[str, Any], written: dict[str, Any]) -> list[str]:
    """Fields of ``written`` that were read differently."""
    return [
        name
        for name, value in written.items()
        if (
            _differences(read.get(name) or {}, value)
            if name == "trace"
            else _listed(read.get(name)) != value
        )
    ]


def _all_fields(event: Event) -> dict[str, Any]:
    fields = msgspec.structs.asdict(event)
    written = fields.get("trace")
    return fields | {"trace": msgspec.structs.asdict(written)} if written is not None else fields


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_the_current_version_has_fixtures_that_name_every_field_of_every_kind() -> None:
    for kind, name in (
        (Observation, "observation-all-fields"),
        (TraceUpdate, "trace-all-fields"),
        (Score, "score-all-fields"),
    ):
        written = json.loads((NEWEST / f"{name}.json").read_text())
        assert set(kind.__struct_fields__) == set(written) - {"kind"}
        if "trace" in written:
            assert set(TraceAttributes.__struct_fields__) == set(written["trace"])


def test_fixtures_name_every_type_of_observation() -> None:
    types = {json.loads(path.read_text()).get("type") for path in FIXTURES}
    assert set(get_args(ObservationType)) <= types


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"kind":"observation","project_id":"p","trace_id":"t","ts_us":1}', "id"),
        ('{"kind":"observation","project_id":"p","trace_id":"t","id":"i","ts_us":"now"}', "ts_us"),
        ('{"kind":"observation","project_id":"p","trace_id":"t","id":"i","ts_us":1,"level":"LOUD"}',
            "level"),
        (('{"kind":"observation","project_id":"p","trace_id":"t","id":"i","ts_us":1,'
         '"usage":{"input":1.5}}'), "usage"),
        ('{"kind":"score","project_id":"p","id":"i","ts_us":1,"name":"n"}', "data_type"),
        ('{"kind":"rumour","project_id":"p"}', "kind"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_the_name_of_the_field(line: str, field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        decode_event(line.encode())


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"nonsense"])
def test_what_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(line)


_texts = st.none() | st.text()
_micros = st.none() | st.integers(0, 2**53)
_counts = st.none() | st.dictionaries(st.text(), st.integers(-(2**63), 2**63 - 1), max_size=5)
_attributes = st.builds(
    TraceAttributes,
    name=_texts, user_id=_texts, session_id=_texts, public=st.none() | st.booleans(),
    tags=st.none() | st.lists(st.text(), max_size=3).map(tuple), metadata=_texts, start_us=_micros,
)  # fmt: skip
_observations = st.builds(
    Observation,
    project_id=st.text(), trace_id=st.text(), id=st.text(), ts_us=st.integers(0, 2**53),
    partial=st.booleans(), type=st.none() | st.sampled_from(get_args(ObservationType)),
    name=_texts, level=st.none() | st.sampled_from(get_args(Level)), usage=_counts, cost=_counts,
    input=_texts, output=_texts, metadata=_texts, app_root=st.booleans(),
    app_entry=st.booleans(),
    prompt_version=st.none() | st.integers(0, 10), trace=st.none() | _attributes,
)  # fmt: skip
_updates = st.builds(
    TraceUpdate,
    project_id=st.text(), trace_id=st.text(), ts_us=st.integers(0, 2**53), trace=_attributes,
)  # fmt: skip
_scores = st.builds(
    Score,
    project_id=st.text(), id=st.text(), ts_us=st.integers(0, 2**53), name=st.text(),
    data_type=st.sampled_from(get_args(ScoreDataType)),
    source=st.sampled_from(get_args(ScoreSource)),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False), string_value=_texts,
    trace_id=_texts, session_id=_texts,
)  # fmt: skip


@given(_observations | _updates | _scores)
def test_what_is_written_is_what_is_read_on_one_line(event: Event) -> None:
    line = encode_event(event)
    assert b"\n" not in line
    assert decode_event(line) == event


@given(_observations, st.integers(1, 64))
def test_a_score_meets_its_trace_in_one_partition(event: Observation, partitions: int) -> None:
    score = Score(
        project_id=event.project_id, id="s", ts_us=1, name="n", data_type="NUMERIC",
        trace_id=event.trace_id or None, session_id=event.trace_id,
    )  # fmt: skip
    there = partition_of(score.project_id, partition_key(score), partitions)
    if event.trace_id:
        assert there == partition_of(event.project_id, partition_key(event), partitions)
    assert 0 <= there < partitions
