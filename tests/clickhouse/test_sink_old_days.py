"""New rows do not wait for an import of many old days."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.sink.batches import Batch
from clickhouse.sink.old_days import PartitionKeys, split_by_age
from clickhouse.sink.record_rows import NO_ROWS, Rows
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.settings import KafkaSettings
from streams.runtime.sink_progress import SinkProgress
from tests.clickhouse.rows_for_tests import DAY_US
from tests.clickhouse.sink_for_tests import count, eventually, observation
from tests.fixtures.sink import sinking
from tracemill.clock import now_us

DAYS: Final = 120
DAYS_APART: Final = 30
VISIBLE_WITHIN_S: Final = 2.0
SLOW_MACHINE_FACTOR: Final = 5.0
ODD_TEXTS: Final = st.text(st.sampled_from('",:{}[]\n\\é1start_us'), max_size=40) | st.sampled_from(
    ['"start_us":1', '","start_us":1', "start_us", "x" * 150]
)
FEW_PARTITIONS: Final = SinkSettings(old_rows_partitions_max=2)


async def export_of_many_days(
    kafka: KafkaSettings, producer: AIOKafkaProducer, first: int = 0
) -> None:
    now = now_us()
    for start in range(0, DAYS, 20):
        lines = [
            observation(
                first + age, start_us=now - (3 + age * DAYS_APART) * DAY_US, trace_id=f"t{age}"
            )
            for age in range(start, start + 20)
        ]
        lines.insert(10, fresh(first + start))
        await producer.send_and_wait(kafka.topics.observations, b"\n".join(lines), partition=0)


def fresh(number: int) -> bytes:
    return observation(number, project_id="other", id=f"fresh-{number}", start_us=now_us())


async def test_fresh_rows_do_not_wait_for_an_export_of_ten_years(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    slowest_s = 0.0
    async with sinking(kafka, clickhouse_store, FEW_PARTITIONS):
        for attempt in range(2):
            await export_of_many_days(kafka, producer, first=attempt * 10_000)
            for number in range(3):
                row = fresh(50_000 + attempt * 10 + number)
                sent_s = time.monotonic()
                await producer.send_and_wait(kafka.topics.observations, row, partition=0)
                await eventually(
                    lambda id_=50_000 + attempt * 10 + number: has(clickhouse_store, id_)
                )
                slowest_s = max(slowest_s, time.monotonic() - sent_s)

        async def all_there() -> bool:
            return await count(clickhouse_store) == 2 * (DAYS + 6) + 6

        await eventually(all_there)
    assert slowest_s < VISIBLE_WITHIN_S * SLOW_MACHINE_FACTOR
    parts = await clickhouse_store.query(
        "SELECT max(n) AS parts FROM (SELECT count() AS n FROM system.parts WHERE active"
        " AND database = currentDatabase() GROUP BY table)"
    )
    assert parts[0]["parts"] < 1_000


async def has(store: Store, number: int) -> bool:
    rows = await store.query(
        "SELECT count() AS n FROM observations WHERE project_id = 'other' AND id = {id:String}",
        {"id": f"fresh-{number}"},
    )
    return bool(rows[0]["n"])


async def test_offsets_wait_for_the_old_rows_before_them(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    """A sink that ends in the middle of old rows leaves all of them to the next one."""
    await export_of_many_days(kafka, producer)
    await producer.send_and_wait(kafka.topics.observations, fresh(9_999), partition=0)
    first = asyncio.create_task(run_sink(kafka, clickhouse_store, FEW_PARTITIONS, asyncio.Event()))
    await eventually(lambda: has(clickhouse_store, 9_999))
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    async with sinking(kafka, clickhouse_store):

        async def all_there() -> bool:
            return await count(clickhouse_store) == DAYS + 7

        await eventually(all_there)
    partition = TopicPartition(kafka.topics.observations, 0)
    progress = SinkProgress(kafka, poll_s=0.05)
    try:
        await progress.start()
        assert await progress.committed([partition]) == {partition: 7}
    finally:
        await progress.stop()


def test_rows_are_split_by_their_own_start() -> None:
    now = now_us()
    old = observation(1, start_us=now - 9 * DAY_US)
    young = observation(2, start_us=now, input='"start_us":1', usage={"start_us": 1})
    oldest = now - DAY_US
    assert split_by_age(young, oldest) == (Rows(young, 1), NO_ROWS)
    assert split_by_age(old, oldest) == (NO_ROWS, Rows(old, 1))
    mixed = b"\n".join([young, old, young])
    assert split_by_age(mixed, oldest) == (Rows(young + b"\n" + young, 2), Rows(old, 1))


@given(rows=st.lists(st.tuples(st.booleans(), ODD_TEXTS, ODD_TEXTS), max_size=8))
def test_the_position_of_the_start_in_other_rows_does_not_matter(
    rows: list[tuple[bool, str, str]],
) -> None:
    now = now_us()
    lines = [
        observation(
            number,
            id=f"{number}{before}",
            start_us=now - 9 * DAY_US if is_old else now,
            environment=behind,
            usage={"start_us": now if is_old else 1, behind: 1},
        )
        for number, (is_old, before, behind) in enumerate(rows)
    ]
    fresh = [line for line, (is_old, *_) in zip(lines, rows, strict=True) if not is_old]
    old = [line for line, (is_old, *_) in zip(lines, rows, strict=True) if is_old]
    assert split_by_age(b"\n".join(lines), now - DAY_US) == (
        Rows(b"\n".join(fresh), len(fresh)),
        Rows(b"\n".join(old), len(old)),
    )


@pytest.mark.parametrize(
    "odd", [b"", b"{}", b"\n", b'{"start_us":', b'{"project_id":"p","start_us":1']
)
def test_rows_without_a_start_are_passed_to_the_store(odd: bytes) -> None:
    young = observation(2, start_us=now_us())
    for value in (odd, b"\n".join([young, odd]), b"\n".join([odd, young])):
        fresh, _ = split_by_age(value, now_us() - 10**16)
        assert fresh == Rows.of(value)


@given(value=st.lists(st.sampled_from([b"\n", b"a", b"{}"])).map(b"".join))
def test_lines_are_counted(value: bytes) -> None:
    assert Rows.of(value).lines == (
        value.count(b"\n") + (not value.endswith(b"\n")) if value else 0
    )


async def test_a_part_has_few_partitions_and_refers_to_its_records(clickhouse_store: Store) -> None:
    keys = PartitionKeys(clickhouse_store)
    await keys.load("observations")
    now = now_us()
    rows = {
        offset: b"\n".join(
            observation(offset * 100 + age, start_us=now - age * DAY_US)
            for age in (0, 1, 400, 3_000)
        )
        for offset in range(3)
    }
    batch = Batch()
    partition = TopicPartition("observations", 0)
    batch.add([record(offset, value) for offset, value in rows.items()], partition, 0.0)
    parts = batch.in_parts(lambda row: keys.of("observations", row), keys_max=3)
    assert [part.rows for part in parts] == [9, 3]
    for part in parts:
        assert len({keys.of("observations", row) for row in part.values}) <= 3
        for row, source in zip(part.values, part.sources, strict=True):
            assert row in rows[source.offset]


def record(offset: int, value: bytes) -> ConsumerRecord:
    return ConsumerRecord(
        topic="observations",
        partition=0,
        offset=offset,
        timestamp=1,
        timestamp_type=0,
        key=None,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(value),
        headers=(),
    )
