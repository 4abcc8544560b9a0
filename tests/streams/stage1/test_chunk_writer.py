from __future__ import annotations

import asyncio

import msgspec
import pytest

from clickhouse.rows import ObservationRow, ScoreRow, TraceRow
from producers.kafka.topics import Topics
from streams.core.observations.effects import Effects
from streams.core.observations.encoding import EncodingLimits, encoded, records_of
from streams.core.rollups.deltas import Delta
from streams.observations.inbox import Inbox
from streams.observations.ports import Ends
from streams.observations.writer import SOURCE_OFFSET, TRACE_VERSION, ChunkWriter, summary_of
from streams.runtime.partition_worker import SourceMessage

TOPICS = Topics("t")


class Broker:
    """Acknowledges the records of a topic when a test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, bytes, list]] = []
        self._waiting: dict[str, list[asyncio.Future[int]]] = {}

    async def send(self, topic, partition, value, headers=()):
        future = asyncio.get_running_loop().create_future()
        self.sent.append((topic, partition, value, list(headers)))
        self._waiting.setdefault(topic, []).append(future)
        return future

    async def acknowledge(self, topic: str) -> None:
        for offset, future in enumerate(self._waiting.pop(topic)):
            future.set_result(offset)
        for _ in range(5):
            await asyncio.sleep(0)

    def topics(self) -> list[str]:
        return [topic.removeprefix("t.") for topic, *_ in self.sent]


@pytest.fixture
async def broker() -> Broker:
    return Broker()


def effects(offset: int = 9) -> Effects:
    return Effects(
        offset,
        deltas=[Delta("p", 0, offset, [], [])],
        observations=[
            ObservationRow(project_id="p", trace_id="t", id="o", start_us=1, row_version=1)
        ],
        traces=[TraceRow(project_id="p", id="t", start_us=1, row_version=1)],
        scores=[ScoreRow(project_id="p", id="s", event_us=1, row_version=1)],
    )


def writer_on(broker: Broker) -> ChunkWriter:
    return ChunkWriter(broker, TOPICS, 3, in_flight_max=2, ends=Ends(40, 50))


async def begin(writer: ChunkWriter, number: int, messages, chunk: Effects) -> None:
    await writer.begin(number, messages, summary_of(chunk), encoded(chunk, limits(1000)))


def limits(record_bytes: int) -> EncodingLimits:
    return EncodingLimits(2, record_bytes, record_max_bytes=1_000_000)


async def test_a_chunk_leaves_step_by_step_and_is_acknowledged_last(broker: Broker):
    writer = writer_on(broker)
    running = asyncio.create_task(writer.run())
    acknowledged: list[int] = []
    messages = [
        SourceMessage(offset, 0, b"", lambda o=offset: acknowledged.append(o)) for offset in (8, 9)
    ]
    chunk = effects()
    chunk.trace_version = 7
    await begin(writer, 1, messages, chunk)
    await asyncio.sleep(0)
    assert broker.topics() == ["deltas"]
    await broker.acknowledge(TOPICS.deltas)
    assert broker.topics() == ["deltas", "scores", "traces"]
    await broker.acknowledge(TOPICS.scores)
    assert broker.topics()[3:] == []
    await broker.acknowledge(TOPICS.traces)
    assert broker.topics()[3:] == ["observations"]
    assert broker.sent[3][3] == [(SOURCE_OFFSET, b"9"), (TRACE_VERSION, b"7")]
    assert acknowledged == []
    await broker.acknowledge(TOPICS.observations)
    assert acknowledged == [8, 9]
    assert await writer.written(1) == Ends(1, 1)
    running.cancel()


async def test_a_chunk_without_rows_commits_with_an_empty_record(broker: Broker):
    writer = writer_on(broker)
    running = asyncio.create_task(writer.run())
    await begin(writer, 1, [SourceMessage(4, 0, b"", lambda: None)], Effects(4))
    await asyncio.sleep(0)
    headers = [(SOURCE_OFFSET, b"4"), (TRACE_VERSION, b"0")]
    assert broker.sent == [(TOPICS.observations, 3, b"", headers)]
    await broker.acknowledge(TOPICS.observations)
    assert await writer.written(1) == Ends(1, 50)
    running.cancel()


async def test_no_more_chunks_begin_than_may_be_in_flight(broker: Broker):
    writer = writer_on(broker)
    message = SourceMessage(1, 0, b"", lambda: None)
    for number in (1, 2):
        await begin(writer, number, [message], effects())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(begin(writer, 3, [message], effects()), 0.05)


def test_a_row_and_the_deletion_of_its_predecessor_share_a_record():
    def row(id_: str, is_deleted: int = 0) -> ObservationRow:
        return ObservationRow(
            project_id="p",
            trace_id="t",
            id=id_,
            start_us=1,
            row_version=1,
            is_deleted=is_deleted,
            input="x" * 60,
        )

    rows = [row("a"), row("a", 1), row("b"), row("c"), row("c", 1), row("c", 1)]
    records = list(records_of(rows, limits(50)))
    read = [[msgspec.json.decode(line)["id"] for line in each.split(b"\n")] for each in records]
    assert read == [["a", "a"], ["b"], ["c", "c"], ["c"]]


def test_a_large_row_begins_a_record_of_its_own_if_it_does_not_fit_into_the_one_before():
    rows = [
        ObservationRow(
            project_id="p", trace_id="t", id=id_, start_us=1, row_version=1, input="x" * size
        )
        for id_, size in (("a", 10), ("b", 900), ("c", 10))
    ]
    records = list(records_of(rows, EncodingLimits(2, 1_000, 2_048)))
    assert [each.count(b"\n") + 1 for each in records] == [1, 1, 1] or max(
        map(len, records)
    ) <= 1_024


def test_the_deltas_of_one_source_record_may_be_cut_apart():
    deltas = [
        Delta(project, 0, offset, [], []) for offset, project in [(1, "p"), (1, "q"), (2, "p")]
    ]
    records = list(records_of(deltas, limits(1)))
    assert [len(each.split(b"\n")) for each in records] == [1, 1, 1]


async def test_a_full_inbox_blocks_writers_until_a_record_is_taken():
    inbox = Inbox(records_max=2, bytes_max=1000)
    for offset in range(2):
        await inbox.put(SourceMessage(offset, 0, b"x", lambda: None))
    assert inbox.limit_reached == "inbox_records_max"
    third = asyncio.create_task(inbox.put(SourceMessage(2, 0, b"x", lambda: None)))
    await asyncio.sleep(0)
    assert not third.done()
    assert [each.offset for each in await inbox.take(1, 10)] == [0]
    await third
    assert [each.offset for each in await inbox.take(9, 10)] == [1, 2]


async def test_an_inbox_gives_at_most_so_many_bytes_at_a_time():
    inbox = Inbox(records_max=9, bytes_max=1000)
    for offset, size in enumerate((50, 3, 3, 3)):
        await inbox.put(SourceMessage(offset, 0, b"x" * size, lambda: None))
    assert inbox.limit_reached is None
    assert Inbox(records_max=9, bytes_max=0).limit_reached == "inbox_bytes_max"
    taken = [[each.offset for each in await inbox.take(9, 7)] for _ in range(3)]
    assert taken == [[0], [1, 2], [3]]


async def test_a_closed_inbox_blocks_no_writer():
    inbox = Inbox(records_max=1, bytes_max=1000)
    await inbox.put(SourceMessage(0, 0, b"x", lambda: None))
    waiting = asyncio.create_task(inbox.put(SourceMessage(1, 0, b"x", lambda: None)))
    await asyncio.sleep(0)
    await inbox.close()
    await waiting
    assert len(inbox) == 1
