"""Unreadable rows in the store affect their trace only, not the partition."""

from __future__ import annotations

import msgspec
import pytest

from clickhouse.rows import ObservationRow, TraceRow
from producers.kafka.topics import Topics
from streams.core.observations.failures import PROCESSING_FAILED, TraceFailedError
from streams.core.observations.fold import Needs
from streams.core.observations.isolation import Isolation
from streams.core.observations.reading import SourceRecord, read
from streams.core.observations.trace_cache import TraceHistory
from streams.observations.tail import Tail, restored_of
from streams.observations.writer import SOURCE_OFFSET
from tests.streams.stage1.stage1_folding import NOW_US, Folding, observation
from tracemill.contract import encode_event

KEY = ("p", "t")


class Record:
    def __init__(self, value: bytes, offset: int) -> None:
        self.value = value
        self.headers = [(SOURCE_OFFSET, str(offset).encode())]


def row(id_: str) -> bytes:
    return msgspec.json.encode(
        ObservationRow(project_id="p", trace_id="t", id=id_, start_us=NOW_US, row_version=1)
    )


def test_a_row_that_does_not_decode_is_left_out_when_a_partition_is_taken_over():
    values = [row("a"), b'{"project_id":\n' + row("b"), row("c")]
    records = [Record(value, offset) for offset, value in enumerate(values)]
    restore_metadata = restored_of(Tail(0, 3, records), Tail(0, 0, []), Topics("t"))
    assert [each.id for each in restore_metadata.observations] == ["a", "b", "c"]
    assert restore_metadata.resume_after == 2


def test_events_of_an_unreadable_trace_are_set_aside_and_others_count():
    folding = Folding()
    events = [observation("a"), observation("b", trace_id="other")]
    record = read(SourceRecord(1, NOW_US, b"\n".join(map(encode_event, events))))
    broken = TraceRow(project_id="p", id="t", start_us=NOW_US, row_version=1, merge_state="{")
    with pytest.raises(TraceFailedError) as failure:
        folding.core.load([TraceHistory(KEY, broken, [])], Needs({KEY}, set()))
    folding.core.forget([record])
    isolation = Isolation()
    assert isolation.learn(failure.value, [record])
    needs = folding.core.needs([record], isolation)
    assert KEY not in needs.traces
    effects = folding.core.fold([record], needs, 1, isolation)
    assert [each.trace_id for each in effects.observations] == ["other"]
    (letter,) = effects.dead_letters
    assert letter.reason == PROCESSING_FAILED
    assert letter.detail.startswith("DecodeError: ")
    assert '"trace_id":"t"' in letter.payload
