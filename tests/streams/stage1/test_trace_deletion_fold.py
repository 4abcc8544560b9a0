"""A deletion subtracts what its trace counts, once, and drops later events of the trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.core.observations.failures import EventFailedError
from streams.core.observations.fold import DELETED_TRACE_MEMORY_US
from streams.core.observations.isolation import Isolation
from streams.core.observations.reading import ReadRecord, SourceRecord, read
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.traces import Trace
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, Folding, observation, stored
from tracemill.contract import Event, Score, TraceDeletion, encode_event

KEY = ("p", "t")


def deletion(trace_id: str = "t") -> TraceDeletion:
    return TraceDeletion(project_id="p", trace_id=trace_id, ts_us=NOW_US, api_key="pk")


def call(id_: str = "o") -> Event:
    return observation(id_, model="m", usage={"input": 10}, start_us=NOW_US, type="GENERATION")


def score(*, deleted: bool = False) -> Score:
    return Score(
        project_id="p", id="s", ts_us=NOW_US, name="n", data_type="NUMERIC", value=1.0,
        trace_id=None if deleted else "t", deleted=deleted,
    )  # fmt: skip


def records_of(folding: Folding, *records: tuple[int, Event]) -> list[ReadRecord]:
    """Return records of single events with their receiving times; their offsets go on."""
    first = folding.chunk + 1
    return [
        read(SourceRecord(first + n, at_us, encode_event(event)))
        for n, (at_us, event) in enumerate(records)
    ]


def test_cost_and_rows_are_taken_back() -> None:
    folding = Folding()
    folding.fold(call(), call("o2"))
    effects = folding.fold(deletion())
    (delta,) = effects.deltas
    assert sum(window.cost_pico for window in delta.windows) == -60
    assert sum(spend.cost_pico for spend in delta.spend) == -60
    assert [(row.id, row.is_deleted) for row in effects.observations] == [("o", 1), ("o2", 1)]
    assert [row.is_deleted for row in effects.traces] == [1]
    (row,) = effects.deletions
    assert (row.project_id, row.trace_id, row.api_key) == ("p", "t", "pk")


def test_a_trace_that_is_created_and_deleted_by_one_record_counts_nothing() -> None:
    effects = Folding().fold(call(), deletion(), call("late"))
    assert effects.deltas == []
    assert effects.of_deleted_traces == 1
    latest = {row.id: row for row in sorted(effects.observations, key=lambda row: row.row_version)}
    assert all(row.is_deleted for row in latest.values())


def test_late_events_are_dropped_and_a_second_deletion_changes_nothing() -> None:
    folding = Folding()
    folding.fold(call(), score())
    folding.fold(deletion())
    effects = folding.fold(call("late"), score(), deletion())
    assert effects.of_deleted_traces == 3
    assert effects.deltas == effects.observations == effects.traces == effects.scores == []
    assert folding.fold(score(deleted=True)).scores, "scores of it can be deleted"


def test_after_its_time_an_event_begins_a_new_trace() -> None:
    folding = Folding()
    folding.fold(call())
    folding.fold(deletion())
    records = records_of(folding, (NOW_US + 2 * DELETED_TRACE_MEMORY_US, call()))
    effects = folding.core.fold(records, folding.core.needs(records), 3)
    assert [row.is_deleted for row in effects.observations] == [0]
    assert [row.observation_count for row in effects.traces] == [1]


def test_the_limit_forgets_the_oldest_deletion() -> None:
    folding = Folding(replace(LIMITS, deleted_traces_max=1))
    folding.fold(deletion("t"))
    folding.fold(deletion("u"))
    assert folding.core.take_reached() == {"deleted_traces_max": 1}
    assert folding.fold(call()).of_deleted_traces == 0


def test_a_deletion_takes_effect_when_its_chunk_is_folded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folding = Folding()
    rows = folding.fold(call())
    add = Trace.add

    def failing(self: Trace, state: object) -> None:
        if getattr(state, "id", "") == "boom":
            raise RuntimeError("boom")
        add(self, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Trace, "add", failing)
    records = records_of(folding, (NOW_US, deletion()), (NOW_US, observation("boom", trace_id="u")))
    core, isolation = folding.core, Isolation()
    with pytest.raises(EventFailedError) as failed:
        core.fold(records, core.needs(records), 2)
    core.forget(records)
    assert isolation.learn(failed.value, records)
    needs = core.needs(records, isolation)
    assert needs.traces == {KEY}
    core.load([TraceHistory(KEY, rows.traces[0], stored(rows.observations))], needs)
    effects = core.fold(records, needs, 2, isolation)
    (delta,) = effects.deltas
    assert sum(spend.cost_pico for spend in delta.spend) == -30
    assert len(effects.deletions) == len(effects.dead_letters) == 1
    assert core.deleted.drops(KEY, NOW_US)
