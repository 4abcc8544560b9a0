"""A trace with too many texts evicts its own texts, not other traces, and reads them back."""

from __future__ import annotations

import msgspec
import pytest

from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.rows import ObservationRow
from clickhouse.store import Store
from producers.settings import KafkaSettings
from streams.core.observations.fold import FoldLimits, Needs
from streams.core.observations.reading import ReadRecord, SourceRecord, read
from streams.core.observations.trace_cache import TraceHistory
from streams.observations.readback import StoreHistory
from streams.observations.settings import StreamsSettings
from streams.runtime.sink_progress import SinkProgress
from tests.streams.stage1.stage1_folding import (
    LIMITS,
    NOW_US,
    Folding,
    last_trace,
    observation,
    stored,
)
from tracemill.contract import Event, TraceAttributes, TraceUpdate, encode_event

TRACE = ("p", "t")
KAFKA = KafkaSettings()
SETTINGS = StreamsSettings()


def part(id_: str, ts: int = 0, **said: object) -> Event:
    return observation(id_, ts, partial=True, **said)


class Crowded(Folding):
    """Room for 400 bytes of texts; what was written, by id."""

    def __init__(self) -> None:
        super().__init__(FoldLimits(1_000, 400, 10, LIMITS.dead_letters))
        self.written: dict[str, ObservationRow] = {}

    def say(self, *events: Event) -> list[ObservationRow]:
        rows = stored(self.fold(*events).observations)
        self.written |= {row.id: row for row in rows}
        return rows

    def asked(self, *events: Event) -> tuple[list[ReadRecord], Needs]:
        self.chunk += 1
        value = b"\n".join(map(encode_event, events))
        records = [read(SourceRecord(self.chunk, NOW_US + self.chunk * 1000, value))]
        return records, self.core.needs(records)


def crowded() -> Crowded:
    folding = Crowded()
    folding.say(part("other", trace_id="small", input="x" * 50))
    for number in range(20):
        folding.say(part(f"o{number}", name=f"n{number}", input="y" * 50))
    return folding


def test_remaining_lines_keep_their_numbers():
    folding = crowded()
    assert folding.core.cache.traces.keys() == {TRACE, ("p", "small")}
    assert len(folding.core.cache.traces[TRACE].observations) == 20
    assert folding.core.cache.text_bytes <= 400
    assert folding.core.take_reached()["resident_text_bytes_max"] > 0
    _, needs = folding.asked(part("new"), part("o19", ts=1, output="z"), observation("whole"))
    assert not needs


@pytest.mark.parametrize(
    "event",
    [
        part("o0", ts=1, output="z"),
        part("o0", ts=-1, output="z"),
        observation("o0", ts=-1, output="z"),
    ],
    ids=["later", "earlier", "whole"],
)
def test_evicted_texts_are_read_back_for_any_event_of_their_observation(event: Event):
    folding = crowded()
    records, needs = folding.asked(event)
    assert (needs.traces, needs.cached, needs.texts) == ({TRACE}, {TRACE}, {(TRACE, "o0")})
    folding.core.load([TraceHistory(TRACE, None, [folding.written["o0"]])], needs)
    (row,) = stored(folding.core.fold(records, needs, folding.chunk).observations)
    assert (row.name, row.input, row.output) == ("n0", "y" * 50, "z")
    assert row.row_version > folding.written["o0"].row_version


def test_numbers_are_restored_with_texts_that_are_ahead_of_the_commit():
    """The previous worker wrote the row of an event and ended before its commit."""
    event = part("o0", ts=1, usage={"input": 10}, model="m", level="ERROR")
    update = TraceUpdate(
        project_id="p", trace_id="t", ts_us=NOW_US, trace=TraceAttributes(user_id="u")
    )
    before, after = crowded(), crowded()
    records, needs = before.asked(event)
    before.core.load([TraceHistory(TRACE, None, [before.written["o0"]])], needs)
    (ahead,) = stored(before.core.fold(records, needs, before.chunk).observations)
    expected = last_trace(before.fold(update))

    records, needs = after.asked(event)
    after.core.load([TraceHistory(TRACE, None, [ahead])], needs)
    assert after.core.fold(records, needs, after.chunk).observations == []
    assert last_trace(after.fold(update)) == expected
    assert (expected.usage["input"], expected.error_count) == (10, 1)


async def test_only_texts_are_read_back_of_a_trace_in_memory(
    clickhouse_store: Store,
) -> None:
    folding = crowded()
    _, needs = folding.asked(part("o0", ts=1), part("o2", ts=1))
    rows = b"\n".join(map(msgspec.json.encode, folding.written.values()))
    columns = ROW_OF_TABLE["observations"].__struct_fields__
    await clickhouse_store.insert_lines("observations", columns, rows)
    history = StoreHistory(
        KAFKA, clickhouse_store, SETTINGS, SinkProgress(KAFKA, SETTINGS.sink_poll_s)
    )
    (read_back,) = await history.read_back(needs)
    assert read_back.row is None
    assert {row.id: row for row in read_back.observations} == {
        id_: folding.written[id_] for id_ in ("o0", "o2")
    }
