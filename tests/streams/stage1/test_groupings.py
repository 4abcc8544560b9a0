"""What a record produces does not depend on how records are grouped into chunks."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.observations.fold import FoldLimits, ObservationsFold
from streams.core.observations.limits import RowLimits
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.seen import SeenTraces
from streams.core.observations.trace_cache import TraceHistory
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, PerUnit, observation
from tracemill.contract import Event, TraceAttributes, encode_event

TIGHT = RowLimits(2_000, 700)
"""Texts of some 300 characters are cut where they are merged."""


class Characters:
    """Count a token for each character, whatever the model."""

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        usage = {"input": len(input_text), "output": len(output_text)}
        return {side: count for side, count in usage.items() if count}


Rows = dict[tuple[str, ...], ObservationRow | TraceRow]


class Life:
    """Workers on one partition, and the store with their rows."""

    def __init__(self, resident_text_bytes_max: int) -> None:
        limits = FoldLimits(10_000, resident_text_bytes_max, 100, LIMITS.dead_letters, rows=TIGHT)
        self._core = ObservationsFold("events", 0, limits, PerUnit(), Characters(), SeenTraces())
        self._chunk = 0
        self.rows: Rows = {}

    def fold(self, chunk: list[SourceRecord]) -> None:
        self._chunk += 1
        records = [read(record) for record in chunk]
        needs = self._core.needs(records)
        self._core.load([self._history(key) for key in needs.traces], needs)
        effects = self._core.fold(records, needs, self._chunk)
        for row in (*effects.observations, *effects.traces):
            stored = msgspec.json.decode(msgspec.json.encode(row), type=type(row))
            self._store(stored)

    def _store(self, row: ObservationRow | TraceRow) -> None:
        key = (type(row).__name__, row.project_id, row.id)
        known = self.rows.get(key)
        if not row.is_deleted and (known is None or row.row_version > known.row_version):
            self.rows[key] = row

    def _history(self, key: tuple[str, str]) -> TraceHistory:
        trace = self.rows.get(("TraceRow", *key))
        of_trace = [
            row
            for row in self.rows.values()
            if isinstance(row, ObservationRow) and (row.project_id, row.trace_id) == key
        ]
        return TraceHistory(key, trace if isinstance(trace, TraceRow) else None, of_trace)


def rows_of(events: list[Event], splits: set[int], resident_text_bytes_max: int) -> Rows:
    """Fold one event per source record; chunks end before the events at ``splits``."""
    life = Life(resident_text_bytes_max)
    records = [
        SourceRecord(offset, NOW_US + offset * 1_000, encode_event(event))
        for offset, event in enumerate(events)
    ]
    ends = sorted({0, *(split for split in splits if split < len(records)), len(records)})
    for begin, end in pairwise(ends):
        life.fold(records[begin:end])
    return life.rows


texts = st.sampled_from([None, "i", "j" * 900, '["x", "y"]'])
metadata = st.sampled_from(
    [None, '{"b": 1,  "a": {"c": 2}}', '{"a": 3}', json.dumps({"k": "v" * 900}), "no object"]
)
attributes = st.one_of(
    st.none(),
    st.builds(
        TraceAttributes,
        user_id=st.sampled_from([None, "ann", "bob"]),
        session_id=st.sampled_from([None, "s1", "s2"]),
    ),
)
events = st.builds(
    lambda id_, ts, said: observation(id_, ts, **said),
    st.sampled_from(["o", "other"]),
    st.integers(0, 4),
    st.fixed_dictionaries(
        {"partial": st.booleans()},
        optional={
            "type": st.sampled_from(["SPAN", "GENERATION"]),
            "name": st.sampled_from(["a", "b"]),
            "parent_id": st.just("other"),
            "level": st.sampled_from(["DEFAULT", "ERROR"]),
            "status_message": st.just("late"),
            "version": st.just("2"),
            "environment": st.sampled_from(["e", "f"]),
            "start_us": st.integers(NOW_US, NOW_US + 3),
            "end_us": st.integers(NOW_US - 2, NOW_US + 5),
            "completion_start_us": st.just(NOW_US + 1),
            "model": st.sampled_from(["m", "?"]),
            "model_parameters": st.just('{"t": 1}'),
            "usage": st.sampled_from([{}, {"input": 2, "output": 0}, {"output": 3}]),
            "cost": st.sampled_from([{"total": 7}, {"input": 1, "output": 2}]),
            "input": texts,
            "output": texts,
            "metadata": metadata,
            "prompt_name": st.just("p"),
            "prompt_version": st.just(3),
            "service_name": st.just("s"),
            "scope_name": st.just("lib"),
            "scope_version": st.just("1"),
            "app_root": st.booleans(),
            "app_entry": st.booleans(),
            "trace": attributes,
        },
    ),
)

USER = TraceAttributes(user_id="ann", session_id="s1")


@settings(max_examples=150)
@given(
    st.lists(events, min_size=2, max_size=6),
    st.sets(st.integers(1, 5)),
    st.sampled_from([1, 10**6]),
)
@example(
    [observation(ts=2, trace=USER), observation(ts=1, partial=True, name="a")], {1}, 10**6
).via("a whole event and an earlier update of it")
@example(
    [observation(ts=1, input="x" * 900), observation(ts=0, partial=True, name="a")], {1}, 10**6
).via("a text that is cut where it is merged")
def test_rows_do_not_depend_on_which_events_share_a_chunk(
    events: list[Event], splits: set[int], resident_text_bytes_max: int
) -> None:
    alone = rows_of(events, set(range(1, len(events))), 10**6)

    assert rows_of(events, splits, resident_text_bytes_max) == alone


def test_an_update_leaves_the_user_and_the_session_of_the_whole_event() -> None:
    events = [observation(ts=1, trace=USER), observation(ts=2, partial=True, output="o")]

    row = rows_of(events, {1}, 10**6)["ObservationRow", "p", "o"]

    assert (row.user_id, row.session_id, row.output) == ("ann", "s1", "o")
