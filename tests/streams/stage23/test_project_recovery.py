"""Stage 2 with an unavailable store, a second worker, evicted cells and wrong offsets."""

import asyncio
import time
from dataclasses import replace

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from clickhouse.all_topics import ensure_topics
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from producers.kafka.clients import client_options
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta, partition_of_project
from tests.fixtures.sink import sinking
from tests.fixtures.store import running_store

NOW_S = int(time.time())
BUCKET_S = NOW_S // 900 * 900
SPENT = """
SELECT project_id, toInt64(sum(total_cost) * 1000000000000) AS pico FROM spend FINAL
GROUP BY project_id ORDER BY project_id
"""
COUNTED = "SELECT sum(observation_count) AS n FROM windows FINAL"


def delta(offset, cost_pico, *, project="p1", at_s=BUCKET_S):
    window = WindowDelta(at_s // 60 * 60, "default", "m1", "chat", 1, 0, cost_pico, {}, {})
    spend = SpendDelta(at_s // 900 * 900, "u1", "m1", "default", cost_pico, f"t{offset}")
    return Delta(project, 0, offset, [window], [spend])


def spent(pipeline, expected):
    async def is_so():
        rows = await pipeline.rows(SPENT)
        return {row["project_id"]: row["pico"] for row in rows} == expected

    return is_so


async def test_budgets_are_evaluated_while_the_store_is_unavailable(pipeline, until, tmp_path):
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with running_store(tmp_path, port) as process:
        store = Store(StoreSettings(clickhouse_url=url))
        await migrate(store, TieringSettings())
        await store.close()
        pipeline.start_worker(
            TRACEMILL_CLICKHOUSE_URL=url, TRACEMILL_CLICKHOUSE_DATABASE=store.database
        )
        await pipeline.put_budget()
        await pipeline.send(delta(0, 850))
        await until(pipeline.alerts)
        process.kill()
        process.wait()
        await pipeline.send(delta(1, 100))
        await pipeline.send(delta(2, 50, at_s=BUCKET_S + 900))

        async def both():
            return [alert.threshold for alert in await pipeline.alerts()] == ["0.8", "1.0"]

        await until(both)


async def test_late_events_amend_evicted_cells(pipeline, until):
    pipeline.start_worker(
        TRACEMILL_PROJECTS_WINDOW_CELLS_MAX="1",
        TRACEMILL_PROJECTS_SPEND_CELLS_MAX="1",
        TRACEMILL_PROJECTS_EVICT_INTERVAL_S="0.1",
    )
    total = 0
    for round_number in range(6):
        for back in range(4):
            offset = round_number * 4 + back
            await pipeline.send(delta(offset, offset, at_s=BUCKET_S - 900 * back))
            total += offset
        await until(spent(pipeline, {"p1": total}))

    async def counted():
        return await pipeline.rows(COUNTED) == [{"n": 24}]

    await until(counted)


async def test_a_second_worker_takes_partitions_over_and_gives_them_back(pipeline, until):
    projects = ["p1", "p2", "p3", "p4"]
    assert {partition_of_project(project, 2) for project in projects} == {0, 1}
    offset, sent = 0, dict.fromkeys(projects, 0)

    async def traffic(seconds):
        nonlocal offset
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await pipeline.send(*(delta(offset, 7, project=project) for project in projects))
            for project in projects:
                sent[project] += 7
            offset += 1
            await asyncio.sleep(0.02)

    pipeline.start_worker()
    await traffic(4)
    second = pipeline.start_worker()
    ready = asyncio.create_task(pipeline.ready(second))
    while not ready.done():
        await traffic(0.5)
    await traffic(2)
    second.terminate()
    await traffic(1)
    await until(spent(pipeline, sent))
    assert await asyncio.to_thread(second.wait, 60) == 0


async def test_offsets_committed_too_far_lose_nothing(pipeline, until):
    """The checkpoint determines where to continue, not the offset of the group."""
    pipeline.start_worker()
    await pipeline.send(delta(0, 5))
    await until(spent(pipeline, {"p1": 5}))
    pipeline.kill_workers()
    for offset in range(1, 20):
        await pipeline.send(delta(offset, 5))
    partition = TopicPartition(pipeline.kafka.topics.deltas, partition_of_project("p1", 2))
    async with AIOKafkaConsumer(
        **client_options(pipeline.kafka), group_id=pipeline.kafka.topics.streams_group
    ) as group:
        group.assign([partition])

        async def committed():
            try:
                await group.commit({partition: OffsetAndMetadata(15, "")})
            except Exception:  # noqa: BLE001  # the killed worker is still a member for a while
                return False
            return True

        await until(committed)
    pipeline.start_worker()
    await pipeline.send(delta(20, 5))
    await until(spent(pipeline, {"p1": 105}))


async def test_a_new_log_continues_with_the_rows_of_an_old_store(pipeline, until):
    pipeline.start_worker()
    for offset in range(30):
        await pipeline.send(delta(offset, 5))
    await until(spent(pipeline, {"p1": 150}))
    pipeline.kill_workers()

    prefix = f"{pipeline.kafka.topic_prefix}-new"
    new = replace(pipeline, kafka=pipeline.kafka.model_copy(update={"topic_prefix": prefix}))
    await ensure_topics(new.kafka)
    async with sinking(new.kafka, new.store):
        new.start_worker()
        await new.send(delta(0, 5), delta(1, 6))
        await until(spent(new, {"p1": 161}))
        new.kill_workers()


async def test_progress_is_written_again_while_nothing_happens(pipeline, until):
    pipeline.start_worker(TRACEMILL_PROJECTS_MARKER_INTERVAL_S="0.2")
    await pipeline.send(delta(0, 5))
    await until(spent(pipeline, {"p1": 5}))
    partition = TopicPartition(pipeline.kafka.topics.windows, partition_of_project("p1", 2))
    async with AIOKafkaConsumer(**client_options(pipeline.kafka)) as consumer:

        async def several():
            return (await consumer.end_offsets([partition]))[partition] >= 5

        await until(several)
    pipeline.kill_workers()
    pipeline.start_worker()
    await pipeline.send(delta(0, 5), delta(1, 6))
    await until(spent(pipeline, {"p1": 11}))


async def test_offsets_used_by_transactions_delay_nothing(pipeline, until):
    worker = pipeline.start_worker()
    await pipeline.ready(worker)
    async with AIOKafkaProducer(
        **client_options(pipeline.kafka), transactional_id=pipeline.kafka.topic_prefix, acks="all"
    ) as pipeline.producer:
        for offset in range(3):
            await pipeline.producer.begin_transaction()
            await pipeline.send(delta(offset, 10))
            await pipeline.producer.commit_transaction()
        await until(spent(pipeline, {"p1": 30}))
    assert worker.poll() is None
