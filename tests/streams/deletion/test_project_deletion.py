"""A deleted project is gone from every table, whatever happens meanwhile; others are untouched."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from prometheus_client import REGISTRY

from clickhouse import migrate as migrate_module
from clickhouse.all_topics import ensure_topics
from clickhouse.errors import StoreUnavailable
from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from clickhouse.levels.schema import LEVEL_TABLES
from clickhouse.levels.settings import LevelSettings
from clickhouse.migrate import Migration, migrate, migrations
from clickhouse.project_rows import partitions_with_rows, project_tables, rows_left
from clickhouse.settings import TieringSettings
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from producers.control.kinds.webhook import Webhook, new_signing_secret
from producers.control.log import ControlLog
from producers.documents.record import DOCUMENTS, DocumentRecord, value_of
from producers.kafka.log_reader import LogReader
from producers.kafka.topics import CONTROL
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.rollups.sketch import state_hex
from streams.deletion.project_deletion import ProjectDeletion
from streams.deletion.settings import DeletionSettings
from streams.jobs.kind import JobContext
from streams.jobs.kinds.project_deletion import ProjectDeletions
from streams.jobs.stage import JobStage
from tests.clickhouse.levels_for_tests import recompute
from tests.clickhouse.sink_for_tests import DEADLINE_S, START_US, eventually
from tests.clickhouse.sink_for_tests import kafka as kafka  # noqa: PLC0414  a fixture
from tests.clickhouse.sink_for_tests import producer as producer  # noqa: PLC0414
from tests.clickhouse.test_toy_feed import MIGRATION, TOYS
from tests.fixtures.control_log import following
from tests.fixtures.sink import sinking
from tracemill.clock import now_us

DAY_US = 86_400_000_000
SETTINGS = DeletionSettings(settle_s=0.2, poll_s=0.02, retry_pause_s=0.02)
LEVELS = LevelSettings(interval_s=3_600)
SINK = SinkSettings(flush_interval_s=0.05, rollup_flush_interval_s=0.05)
ALERTS = next(feed for feed in FEEDS if feed.table == "alerts")
ALL_FEEDS = (*FEEDS, TOYS)


class Killed(BaseException):
    """The process ended here."""


class Mortal:
    """An object whose asynchronous methods end the process, or fail, at some call."""

    def __init__(self, wrapped: Any, fate: Iterator[BaseException | None]) -> None:
        self._wrapped = wrapped
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def called(*args: Any, **options: Any) -> Any:
            before, after = next(self._fate), next(self._fate)
            if before is not None:
                raise before
            result = await found(*args, **options)
            if after is not None:
                raise after
            return result

        return called


def row_of(feed: Feed, project_id: str, number: int) -> bytes:
    """Return a row with the columns that a feed requires, on one of several days."""
    values: dict[str, Any] = {"project_id": project_id}
    for field in msgspec.structs.fields(feed.row):
        if field.required and field.name != "project_id":
            values[field.name] = f"{field.name}-{number}" if field.type is str else number
    for name in ("start_us", "created_us", "event_us", "period_start_us"):
        if name in feed.row.__struct_fields__:
            values[name] = START_US + number * DAY_US
    for name in ("window_s", "bucket_s"):
        if name in feed.row.__struct_fields__:
            values[name] = (START_US + number * DAY_US) // 1_000_000
    if "deleted_us" in values:
        values["deleted_us"] = now_us()  # old deletions expire in the store
    if "latency_state_hex" in values:
        values["latency_state_hex"] = state_hex({})
    return msgspec.json.encode(values)


async def send(producer: AIOKafkaProducer, kafka: KafkaSettings, project_id: str) -> None:
    """Write rows of a project to the topic of each feed, together with another project's."""
    for feed in ALL_FEEDS:
        if feed.topic != CONTROL:
            of = [(each, n) for n in range(3) for each in (project_id, "other")]
            if feed.topic == DOCUMENTS:
                values = [document(*each) for each in of]
            else:
                values = [b"\n".join(row_of(feed, *each) for each in of)]
            topic = feed.topic_in(kafka.topics)
            for value in values:
                await producer.send_and_wait(topic, value, key=project_id.encode(), partition=0)


def document(project_id: str, number: int) -> bytes:
    """Return a record of a document; each has one."""
    record = DocumentRecord(
        project_id=project_id, kind="toy", id=f"id-{number}", revision=1, created_us=START_US,
        updated_us=START_US, body="{}",
    )  # fmt: skip
    return value_of(record)


async def send_alerts(producer: AIOKafkaProducer, kafka: KafkaSettings, project_id: str) -> None:
    """Write alerts as stage 3 does: one a record, by its id."""
    for number in range(3):
        key, value = f"{project_id}-{number}".encode(), row_of(ALERTS, project_id, number)
        await producer.send_and_wait(ALERTS.topic_in(kafka.topics), value, key=key, partition=0)


async def keys_on(kafka: KafkaSettings, feed: Feed) -> set[str]:
    """Return the keys that a compacted topic keeps."""
    kept: dict[str, bool] = {}
    reader = LogReader(
        kafka,
        TopicPartition(feed.topic_in(kafka.topics), 0),
        lambda record: kept.update({record.key.decode(): record.value is not None}),
        isolation="read_uncommitted",
    )
    await reader.start()
    try:
        await reader.caught_up()
    finally:
        await reader.stop()
    return {key for key, is_kept in kept.items() if is_kept}


async def project_with_records(control: ControlLog, project_id: str) -> None:
    await control.put(Project(id=project_id, name=project_id, created_us=1))
    await control.put(Limits(id=project_id, project_id=project_id, created_us=1, events_per_s=1))
    for number in range(2):
        webhook = Webhook(
            id=f"{project_id}-{number}", project_id=project_id, url="https://example.com/",
            events=("budget.threshold_crossed",), secret=new_signing_secret(), created_us=1,
        )  # fmt: skip
        await control.put(webhook)


async def begin(control: ControlLog, project_id: str) -> None:
    await control.update(
        Project,
        project_id,
        lambda held: held.model_copy(update={"state": "deleting", "deleting_since_us": now_us()}),
    )


def state_of(control: ControlLog, project_id: str) -> str:
    return control.view[Project][project_id].state


async def left(store: Store, project_id: str) -> dict[str, int]:
    """Return the rows of a project by table, the tables of all feeds and their copies."""
    found = {}
    for table in await project_tables(store, ALL_FEEDS):
        partitions = await partitions_with_rows(store, table, project_id)
        found[table.name] = sum(each.rows for each in partitions)
    return found


async def versions(store: Store, project_id: str) -> dict[str, int]:
    """Return the distinct rows of a project by table: merges do not change their number."""
    found = {}
    for table in await project_tables(store, ALL_FEEDS):
        sql = (
            f"SELECT count() AS n FROM {table.name} FINAL WHERE {table.project_sql} = {{p:String}}"
        )
        (row,) = await store.query(sql, {"p": project_id})
        found[table.name] = row["n"]
    return found


@pytest.fixture
async def store(
    clickhouse_store: Store, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """A store with a table more than are known, whose feed alone must be enough."""
    known = migrations()
    toys = Migration(len(known) + 1, "toys", MIGRATION)
    monkeypatch.setattr(migrate_module, "migrations", lambda: [*known, toys])
    await ensure_topics(kafka, ALL_FEEDS)
    await migrate(clickhouse_store, TieringSettings())
    return clickhouse_store


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as log:
        await project_with_records(log, "other")
        yield log


@pytest.fixture
def filled(store: Store, kafka: KafkaSettings, producer: AIOKafkaProducer) -> Any:
    @asynccontextmanager
    async def filling(control: ControlLog, project_id: str) -> AsyncIterator[dict[str, int]]:
        """Fill every table, and run the sink; yields what the other project has."""
        await project_with_records(control, project_id)
        await send(producer, kafka, project_id)
        async with sinking(kafka, store, SINK, ALL_FEEDS, LEVELS):

            async def is_stored() -> bool:
                found = await left(store, project_id)
                return all(rows for table, rows in found.items() if table not in LEVEL_TABLES)

            await eventually(is_stored)
            await recompute(store)
            assert all((await left(store, project_id)).values())
            yield await versions(store, "other")

    return filling


def dropped(table: str) -> float:
    name = "tracemill_sink_rows_dropped_total"
    return REGISTRY.get_sample_value(name, {"table": table}) or 0.0


async def test_rows_of_every_feed_and_all_records_are_gone_and_do_not_come_back(
    store: Store,
    kafka: KafkaSettings,
    control: ControlLog,
    producer: AIOKafkaProducer,
    filled: Any,
) -> None:
    async with filled(control, "gone") as others:
        await send_alerts(producer, kafka, "gone")
        await send_alerts(producer, kafka, "other")
        await begin(control, "gone")
        async with asyncio.timeout(DEADLINE_S):
            await ProjectDeletion("gone", kafka, control, store, SETTINGS, ALL_FEEDS).run()
        assert state_of(control, "gone") == "deleted"
        assert control.view[Project]["gone"].deleted_at_us
        assert not any((await left(store, "gone")).values())
        assert not {f"gone-{number}" for number in range(3)} & await keys_on(kafka, ALERTS)
        assert {f"other-{number}" for number in range(3)} <= await keys_on(kafka, ALERTS)
        assert [each.kind for each in control.view.records() if each.owner == "gone"] == []

        # A replay of the topics, and an SDK that goes on to write to Kafka.
        before = {feed.table: dropped(feed.table) for feed in ALL_FEEDS}
        await send(producer, kafka, "gone")

        async def all_are_dropped() -> bool:
            return all(
                dropped(feed.table) >= before[feed.table] + 3
                for feed in ALL_FEEDS
                if feed.topic != CONTROL
            )

        await eventually(all_are_dropped)
        assert not any((await left(store, "gone")).values())
        assert await versions(store, "other") == others
        assert state_of(control, "other") == "active"
        assert len([each for each in control.view.records() if each.owner == "other"]) == 3


@pytest.mark.parametrize("seed", range(2))
async def test_a_deletion_that_is_killed_at_any_step_is_resumed(
    seed: int,
    store: Store,
    kafka: KafkaSettings,
    control: ControlLog,
    producer: AIOKafkaProducer,
    filled: Any,
) -> None:
    rng = random.Random(seed)
    ends = [rng.choice((Killed(), StoreUnavailable("for a moment"))) for _ in range(4)]

    def fate() -> Iterator[BaseException | None]:
        while True:
            for _ in range(rng.randrange(60)):
                yield None
            yield ends.pop() if ends else None

    fates = fate()
    async with filled(control, "gone") as others:
        await begin(control, "gone")
        await send(producer, kafka, "gone")  # what was in flight
        async with asyncio.timeout(DEADLINE_S):
            while state_of(control, "gone") != "deleted":
                deletion = ProjectDeletion(
                    "gone",
                    kafka,
                    Mortal(control, fates),
                    Mortal(store, fates),
                    SETTINGS,
                    ALL_FEEDS,
                )
                try:
                    await deletion.run()
                except Killed:
                    continue
        assert not any((await left(store, "gone")).values())
        assert await versions(store, "other") == others
    assert not ends


async def test_the_job_deletes_what_is_to_be_deleted_and_ends(
    store: Store, kafka: KafkaSettings, control: ControlLog, filled: Any
) -> None:
    context = JobContext(kafka, control, WebhookSettings(), SETTINGS, store=store)
    async with filled(control, "gone"):
        await begin(control, "gone")  # before the worker starts
        stage = JobStage(ProjectDeletions, context)
        stage.start()
        try:

            async def is_deleted() -> bool:
                return state_of(control, "gone") == "deleted"

            await eventually(is_deleted)
            left_over = await rows_left(store, "gone")
            assert not any(left_over.values())
            await project_with_records(control, "another")
            await begin(control, "another")  # while it runs

            async def both_are_deleted() -> bool:
                return state_of(control, "another") == "deleted"

            await eventually(both_are_deleted)
        finally:
            await stage.stop()
