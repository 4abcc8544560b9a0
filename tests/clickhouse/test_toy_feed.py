"""A table that is defined here by its migration and its feed."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from clickhouse import migrate as migrate_module
from clickhouse.all_topics import ensure_topics
from clickhouse.feed import Feed, Flush
from clickhouse.feeds import FEEDS
from clickhouse.migrate import Migration, migrate, migrations
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from producers.kafka.topics import Partitions, Topic
from producers.settings import KafkaSettings
from query_api.health.pipeline_watch import PipelineWatch
from query_api.settings import QuerySettings
from tests.clickhouse.sink_for_tests import count, eventually
from tests.fixtures.sink import sinking

MIGRATION = """\
-- Why: toys are counted.
CREATE TABLE IF NOT EXISTS $database.toys (
    project_id String, name String, weight UInt32, row_version UInt64
) ENGINE = ReplacingMergeTree(row_version) ORDER BY (project_id, name);
"""


class ToyRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    project_id: str
    name: str
    weight: int
    row_version: int


TOYS = Feed(
    table="toys",
    row=ToyRow,
    topic=Topic("toys", Partitions.BY_PROJECT),
    flush=Flush.ROLLUP,
)


async def test_a_new_table_is_fed_watched_and_its_refused_rows_are_set_aside(
    kafka: KafkaSettings,
    clickhouse_store: Store,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = migrations()
    toys = Migration(len(known) + 1, "toys", MIGRATION)
    monkeypatch.setattr(migrate_module, "migrations", lambda: [*known, toys])
    feeds = (*FEEDS, TOYS)
    topic = TOYS.topic_in(kafka.topics)

    assert await ensure_topics(kafka, feeds) == [topic]
    assert [step.name for step in await migrate(clickhouse_store, TieringSettings())] == ["toys"]
    for partition in range(kafka.project_partitions):
        rows = [
            msgspec.json.encode(
                ToyRow(project_id=f"p{partition}", name="bear", weight=2, row_version=version)
            )
            for version in (1, 2)
        ]
        await producer.send_and_wait(topic, b"\n".join(rows), partition=partition)
    await producer.send_and_wait(topic, b'{"project_id":"p","weight":"heavy"}', partition=0)

    watch = PipelineWatch(kafka, QuerySettings(), feeds=[TOYS])
    assert await watch.stage_fault(watch.sink), "the sink does not run yet"
    async with sinking(kafka, clickhouse_store, feeds=feeds), watch.running():

        async def all_stored() -> bool:
            return (
                await count(clickhouse_store, "toys") == kafka.project_partitions
                and await count(clickhouse_store, "dead_letters") == 1
                and await watch.stage_fault(watch.sink) is None
            )

        await eventually(all_stored)

    assert watch.sink.topics == (topic,)
    (letter,) = await clickhouse_store.query("SELECT source_topic FROM dead_letters FINAL")
    assert letter == {"source_topic": topic}
