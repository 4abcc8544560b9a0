"""Scores of deleted traces are deleted, and rows with their texts are erased from every table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from clickhouse.embedded.policy import NotAllowed, Policy, function_names
from clickhouse.rows import ScoreRow, TraceRow
from clickhouse.store import Store
from clickhouse.trace_deletion_rows import TraceDeletionRow
from clickhouse.trace_rows import SupersededRows, trace_tables
from deploy.recovery.trace_deletions import restore_trace_deletions
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.jobs.state import Postponed, Succeeded
from streams.core.observations.versions import version_floor
from streams.deletion.settings import TraceDeletionSettings
from streams.deletion.trace_deletion import HOUR_US, IDS_BYTES_MAX, parts_of
from streams.jobs.kind import JobContext
from streams.jobs.kinds.trace_deletion import TraceDeletionJob, TraceDeletionJobs
from streams.observations.trace_deletions import read_trace_deletions
from streams.runtime.log_reading import records_from
from tests.clickhouse.rows_for_tests import observation, write
from tests.clickhouse.sink_for_tests import START_US
from tests.clickhouse.sink_for_tests import kafka as kafka  # noqa: PLC0414  a fixture
from tests.clickhouse.sink_for_tests import producer as producer  # noqa: PLC0414
from tests.fixtures.control_log import following
from tracemill.clock import now_us
from tracemill.contract import Score, decode_event
from tracemill.partitioning import partition_of

ODD_ID = 'it\'s \\ "ü" 三月 \n%'
DELETED_US = START_US + 10 * HOUR_US
BEFORE, AFTER = version_floor(DELETED_US) - 1, version_floor(DELETED_US + 2 * HOUR_US)
DAY_US = 24 * HOUR_US


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as control:
        yield control


def kind_of(kafka: KafkaSettings, control: ControlLog, store: Store, after_s: float) -> object:
    settings = TraceDeletionSettings(erase_after_s=after_s, poll_s=0.02)
    context = JobContext(kafka, control, WebhookSettings(), settings, store=store)
    return TraceDeletionJobs(context)


async def write_rows(store: Store) -> None:
    """Write rows of two deleted traces, of a new trace with the id of one, and of another one."""
    for trace_id in ("t1", ODD_ID, "kept"):
        for day in range(2):
            start_us = START_US - day * DAY_US
            row = observation(
                trace_id=trace_id, id=f"o{day}", start_us=start_us, row_version=BEFORE, input="text"
            )
            await write(store, "observations", row)
            if trace_id != "kept":
                gone = msgspec.structs.replace(row, row_version=BEFORE + 2, input="", is_deleted=1)
                await write(store, "observations", gone)
        trace = TraceRow(project_id="p", id=trace_id, start_us=START_US, row_version=BEFORE)
        score = ScoreRow(
            project_id="p", id=f"s-{trace_id}", event_us=START_US, row_version=START_US << 12,
            trace_id=trace_id, comment="text",
        )  # fmt: skip
        await write(store, "traces", trace)
        await write(store, "scores", score)
    again = observation(trace_id="t1", id="new", start_us=START_US, row_version=AFTER, input="text")
    await write(store, "observations", again)
    await write(store, "observations", observation(project_id="q", start_us=START_US))


async def rows_of(store: Store, table: str, column: str) -> set[tuple[str, str]]:
    """Return the project and trace of the rows that are no deletions."""
    sql = f"SELECT DISTINCT project_id AS p, {column} AS t FROM {table} WHERE is_deleted = 0"
    return {(row["p"], row["t"]) for row in await store.query(sql)}


async def test_rows_with_texts_are_erased_and_no_others(
    kafka: KafkaSettings, control: ControlLog, clickhouse_store: Store
) -> None:
    await write_rows(clickhouse_store)
    kind = kind_of(kafka, control, clickhouse_store, 0)
    jobs = [
        TraceDeletionJob(f"{n}/p", "p", "p", DELETED_US, trace_ids=ids, deleted_us=DELETED_US)
        for n, ids in enumerate((("t1", "unknown"), (ODD_ID,)))
    ]
    kind._without_scores |= {job.id for job in jobs}
    outcomes = await asyncio.gather(*map(kind.attempt, jobs))
    assert outcomes == [Succeeded(), Succeeded()]

    tables = await trace_tables(clickhouse_store)
    assert tables.keys() >= {"observations", "observations_slim", "traces", "scores"}
    kept = {("p", "kept")}
    for table, column in tables.items():
        expected = kept | {("p", "t1"), ("q", "t1")} if "observations" in table else kept
        assert await rows_of(clickhouse_store, table, column) == expected, table
    (left,) = await clickhouse_store.query(
        "SELECT groupUniqArray(id) AS ids FROM observations"
        " WHERE project_id = 'p' AND trace_id = 't1' AND is_deleted = 0"
    )
    assert left["ids"] == ["new"]
    (gone,) = await clickhouse_store.query(
        "SELECT uniqExact(trace_id, id) AS n FROM observations WHERE is_deleted = 1"
    )
    assert gone["n"] == 4, "the rows that supersede them stay"
    await kind.close()


async def test_scores_with_times_in_the_future_are_erased_if_they_are_deleted(
    kafka: KafkaSettings, control: ControlLog, clickhouse_store: Store
) -> None:
    later = (DELETED_US + DAY_US) << 12
    for score_id, version, is_deleted in (
        ("gone", later, 0), ("gone", later + (1 << 12), 1), ("again", later, 1),
        ("again", later + 1, 0), ("live", later, 0),
    ):  # fmt: skip
        row = ScoreRow(
            project_id="p", id=score_id, event_us=START_US, row_version=version,
            is_deleted=is_deleted, trace_id="" if is_deleted else "t1", comment="text",
        )  # fmt: skip
        await write(clickhouse_store, "scores", row)
    kind = kind_of(kafka, control, clickhouse_store, 0)
    job = TraceDeletionJob("p", "p", "p", DELETED_US, trace_ids=("t1",), deleted_us=DELETED_US)
    kind._without_scores.add(job.id)
    assert await kind.attempt(job) == Succeeded()
    assert await rows_of(clickhouse_store, "scores", "id") == {("p", "again"), ("p", "live")}
    await kind.close()


async def test_scores_are_deleted_by_events_whatever_their_time(
    kafka: KafkaSettings, control: ControlLog, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    in_future_us = now_us() + HOUR_US
    for number, event_us in enumerate((START_US, in_future_us, START_US)):
        row = ScoreRow(
            project_id="p", id=f"s{number}", event_us=event_us, row_version=event_us << 12,
            trace_id="kept" if number == 2 else "t1",
        )  # fmt: skip
        await write(clickhouse_store, "scores", row)
    row = TraceDeletionRow(project_id="p", trace_id="t1", deleted_us=now_us(), row_version=1)
    topic = kafka.topics.trace_deletions
    await producer.send_and_wait(topic, msgspec.json.encode(row), partition=0)
    kind = kind_of(kafka, control, clickhouse_store, 900)
    (record,) = [each async for each in records_from(kafka, TopicPartition(topic, 0))]
    (job,) = kind.jobs_of(record)
    kind._log = NothingToWaitFor()
    assert isinstance(await kind.attempt(job), Postponed)

    events = [
        decode_event(each.value)
        for number in range(kafka.event_partitions)
        async for each in records_from(kafka, TopicPartition(kafka.topics.events, number))
    ]
    assert all(isinstance(event, Score) and event.deleted for event in events)
    assert {event.id: event.ts_us >= in_future_us for event in events} == {"s0": False, "s1": True}
    await kind.close()


async def test_recovered_deletions_are_known_to_their_partitions(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    at_us = now_us()  # old deletions expire in the store
    rows = [
        TraceDeletionRow(
            project_id="p", trace_id=f"t{n}", deleted_us=at_us + n, api_key="pk", row_version=n
        )
        for n in range(1, 1_501)
    ]
    await write(clickhouse_store, "trace_deletions", *rows)
    assert await restore_trace_deletions(producer, kafka.topics, clickhouse_store) == len(rows)
    found = [await read_trace_deletions(kafka, each) for each in range(kafka.event_partitions)]
    assert sorted(row.row_version for part in found for row in part) == list(range(1, 1_501))
    for number, part in enumerate(found):
        assert all(row in rows for row in part)
        assert {partition_of("p", row.trace_id, kafka.event_partitions) for row in part} <= {number}


class NothingToWaitFor:
    async def wait_until_processed(self) -> None:
        return

    async def close(self) -> None:
        return


def test_long_ids_are_divided_between_queries() -> None:
    ids = [f"{number}{'三' * 700}" for number in range(9)]
    parts = list(parts_of(ids, 100))
    assert [each for part in parts for each in part] == ids
    assert all(sum(len(each.encode()) for each in part) <= IDS_BYTES_MAX for part in parts)
    assert list(map(len, parts_of([str(number) for number in range(250)], 100))) == [100, 100, 50]


def test_the_role_may_erase_by_literals_only() -> None:
    policy = Policy(function_names([]), {})
    delete = "ALTER TABLE tracemill.observations DELETE IN PARTITION ID '20260101' WHERE "
    condition = SupersededRows("p", ("t1", ODD_ID), 7).condition("trace_id")
    policy.check_delete((delete + condition).encode())
    for refused in (
        "project_id = 'p' AND 1",
        "project_id = 'p' AND trace_id IN (SELECT 'a')",
        "project_id = 'p' AND trace_id IN ()",
        "project_id = 'p' AND row_version < now()",
        "project_id = 'p' AND row_version < 1 OR 1",
        "project_id IN ('p') AND",
        "trace_id IN ('a'), DELETE WHERE id = 'a'",
    ):
        with pytest.raises(NotAllowed):
            policy.check_delete((delete + refused).encode())
