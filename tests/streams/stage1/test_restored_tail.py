"""How much of its own output a worker reads when it takes over a partition."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from producers.kafka.topics import Topics
from streams.observations import tail
from streams.observations.settings import StreamsSettings
from streams.observations.writer import SOURCE_OFFSET

PARTITION = TopicPartition("t", 0)
RECORDS = 1_000


@dataclass
class Record:
    offset: int
    value: bytes = b"row"

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return [(SOURCE_OFFSET, str(self.offset).encode())]

    @property
    def timestamp(self) -> int:
        return self.offset * 1_000


class Log:
    """A thousand records, one a second."""

    def __init__(self) -> None:
        self._at = 0

    def assign(self, partitions):
        assert partitions == [PARTITION]

    async def end_offsets(self, partitions):
        return {PARTITION: RECORDS}

    async def beginning_offsets(self, partitions):
        return {PARTITION: 0}

    def seek(self, partition, offset):
        self._at = offset

    async def position(self, partition):
        return self._at

    async def getmany(self, partition, timeout_ms):
        first, self._at = self._at, self._at + 10
        return {PARTITION: [Record(offset) for offset in range(first, self._at)]}


def reached(limit: str) -> float:
    name = "tracemill_observations_limit_reached_total"
    return REGISTRY.get_sample_value(name, {"limit": limit}) or 0


@pytest.mark.parametrize(
    ("limit", "value"),
    [("restore_rows_max", 100), ("restore_bytes_max", 300), ("restore_age_max_s", 100)],
)
async def test_the_limit_that_ends_reading_is_counted(limit: str, value: int) -> None:
    before = reached(limit)
    settings = StreamsSettings(**{limit: value})
    read = await tail.read_tail(Log(), PARTITION, settings, commit_needed=True, stall_timeout_s=1)
    assert 100 <= read.end - read.begin < RECORDS
    assert [record.offset for record in read.records] == list(range(read.begin, RECORDS))
    assert reached(limit) == before + 1


async def test_a_log_that_is_short_enough_is_read_from_its_beginning() -> None:
    limits = ("restore_rows_max", "restore_bytes_max", "restore_age_max_s")
    before = [reached(limit) for limit in limits]
    read = await tail.read_tail(
        Log(), PARTITION, StreamsSettings(), commit_needed=True, stall_timeout_s=1
    )
    assert (read.begin, read.end) == (0, RECORDS)
    assert [reached(limit) for limit in limits] == before


@pytest.mark.parametrize("commit", [b"", b"-1", b"x", b"\xff", b"9" * 5_000, None])
async def test_records_that_no_worker_wrote_are_passed_over(commit: bytes | None) -> None:
    class Foreign(Record):
        headers = ((SOURCE_OFFSET, commit),)

    class Shared(Log):
        async def getmany(self, partition, timeout_ms):
            polled = await super().getmany(partition, timeout_ms)
            foreign = [Foreign(each.offset) for each in polled[PARTITION][::2]]
            empty = [Record(each.offset, None) for each in polled[PARTITION][1:-1:2]]
            return {PARTITION: sorted([*foreign, *empty, polled[PARTITION][-1]], key=by_offset)}

    read = await tail.read_tail(
        Shared(), PARTITION, StreamsSettings(), commit_needed=True, stall_timeout_s=1
    )
    assert all(record.value for record in read.records)
    restored = tail.restored_of(read, tail.Tail(0, 0, []), Topics("t"))
    assert RECORDS - 10 <= restored.resume_after < RECORDS


def by_offset(record: Record) -> int:
    return record.offset
