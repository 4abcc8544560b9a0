"""The version of a trace row depends on its source record only, so late rows replace nothing."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import TraceRow
from producers.kafka.topics import Topics
from streams.core.observations.fold import Needs
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.versions import RecordVersion, version_floor
from streams.observations.tail import Tail, restored_of
from streams.observations.writer import SOURCE_OFFSET, TRACE_VERSION
from tests.streams.stage1.stage1_folding import NOW_US, Folding, observation
from tracemill.contract import encode_event

KEY = ("p", "t")
TOPICS = Topics("t")


class Record:
    def __init__(self, value: bytes = b"", **headers: int) -> None:
        self.value = value
        self.headers = [(name, str(number).encode()) for name, number in headers.items()]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3_000)), min_size=1))
def test_versions_rise_with_the_log_also_when_the_clock_of_the_broker_is_set_back(steps):
    version = RecordVersion(-1, version_floor(NOW_US))
    for distance, after_us in steps:
        later = version.of_next(version.offset + distance, NOW_US + after_us)
        assert later.version >= max(version.version + distance, version_floor(NOW_US + after_us))
        version = later


def test_a_trace_that_was_read_back_ahead_of_the_commit_gets_the_version_of_the_record():
    fresh, behind = Folding(), Folding()
    (row,) = fresh.fold(observation("a")).traces
    ahead = TraceRow(project_id="p", id="t", start_us=NOW_US, row_version=row.row_version + 10**9)
    behind.core.load([TraceHistory(KEY, ahead, [])], Needs({KEY}, set()))
    (again,) = behind.fold(observation("a")).traces
    assert again.row_version == row.row_version


def test_a_chunk_that_is_folded_again_gets_the_same_versions():
    folding = Folding()
    folding.fold(observation("a"))
    line = encode_event(observation("b"))
    records = [read(SourceRecord(offset, NOW_US, line)) for offset in (2, 3)]
    first = folding.core.fold(records, folding.core.needs(records), 2)
    folding.core.forget(records)
    again = folding.core.fold(records, folding.core.needs(records), 2)
    assert again.trace_version == first.trace_version
    assert again.traces[0].row_version == first.traces[0].row_version


def commit(offset: int, version: int) -> Record:
    return Record(**{SOURCE_OFFSET: offset, TRACE_VERSION: version})


def test_the_highest_commit_counts_whoever_wrote_the_last():
    observations = Tail(0, 3, [commit(5, 50), commit(9, 90), commit(6, 60)])
    restore_metadata = restored_of(observations, Tail(0, 0, []), TOPICS)
    assert (restore_metadata.resume_after, restore_metadata.trace_version) == (9, 90)


def test_rows_of_traces_are_restored_without_a_commit():
    row = TraceRow(project_id="p", id="t", start_us=NOW_US, row_version=70)
    traces = [Record(msgspec.json.encode(row), **{SOURCE_OFFSET: 9})]
    restore_metadata = restored_of(
        Tail(0, 1, [Record(**{SOURCE_OFFSET: 5})]), Tail(0, 1, traces), TOPICS
    )
    assert restore_metadata.trace_version is None
    assert [each.row_version for each in restore_metadata.traces] == [
        70
    ]  # although ahead of the commit
