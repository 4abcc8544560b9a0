"""The alerting stage with an evaluator of the tests: exact across kills, independent of others."""

import asyncio
import time

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producers.kafka.clients import client_options
from producers.tiers.record import Tier
from streams.alerting.registry import EVALUATORS
from streams.core.rollups.deltas import Delta, WindowDelta
from tests.fixtures.control_log import following_tiers
from tests.streams.alerting.toy_evaluator import TOPIC, CountState

TOY = "tests.streams.alerting.toy_evaluator"


@pytest.fixture
async def states(pipeline):
    """Create the topic of the toy's states; return a function that reads the newest of each."""
    kafka = pipeline.kafka
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    name = kafka.topics.of(TOPIC)
    await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()

    async def read() -> dict[str, CountState]:
        found = {}
        async with AIOKafkaConsumer(**client_options(kafka)) as consumer:
            for number in range(2):
                partition = TopicPartition(name, number)
                consumer.assign([partition])
                await consumer.seek_to_beginning(partition)
                end = (await consumer.end_offsets([partition]))[partition]
                while await consumer.position(partition) < end:
                    records = await consumer.getmany(partition, timeout_ms=200)
                    for record in records.get(partition, ()):
                        state = msgspec.json.decode(record.value, type=CountState)
                        found[record.key.decode()] = state
        return found

    return read


def counted(project_id: str, offset: int, observations: int = 1) -> Delta:
    start_s = int(time.time()) // 60 * 60
    window = WindowDelta(start_s, "default", "m", "n", observations, 0, 0, {}, {})
    return Delta(project_id, 0, offset, [window], [])


async def test_an_evaluator_counts_and_alerts_exactly_although_its_worker_is_killed(
    pipeline, until, states
):
    projects = [f"p{number}" for number in range(5)]
    for project_id in projects:
        await pipeline.put_budget(id=f"b-{project_id}", project_id=project_id)
    sent = 0

    async def are_counted() -> bool:
        return {key: state.count for key, state in (await states()).items()} == dict.fromkeys(
            projects, sent
        )

    for _ in range(4):
        pipeline.start_worker(TOY, TRACEMILL_ALERTING_FLUSH_INTERVAL_S="0.02")
        for number in range(sent, sent + 150):
            deltas = [counted(project_id, number) for project_id in projects]
            await pipeline.send(*deltas)
            if number % 7 == 0:
                await pipeline.send(*deltas)  # a repetition, as after a crash of stage 1
        sent += 150
        await asyncio.sleep(0)
        pipeline.kill_workers()
    pipeline.start_worker(TOY)
    await until(are_counted)
    pipeline.kill_workers()
    alerts = await pipeline.alerts()
    # A kill between an alert and its state repeats at most the record, with the same id.
    assert {alert.id for alert in alerts} == {f"{p}/{n}" for p in projects for n in range(1, 7)}


async def test_it_ticks_without_traffic_and_continues_from_its_checkpoint(pipeline, until, states):
    await pipeline.put_budget(project_id="p1")
    pipeline.start_worker(TOY)
    await pipeline.send(counted("p1", 0))

    async def has_ticked() -> bool:
        return (await states()).get("p1", CountState("p1", 0, -1)).ticks == 1

    await until(has_ticked)
    pipeline.kill_workers()
    pipeline.start_worker(TOY)
    await pipeline.send(counted("p1", 1))

    async def has_continued() -> bool:
        return (await states())["p1"].count == 2

    await until(has_continued)


@pytest.mark.usefixtures("states")
async def test_it_commits_what_is_evaluated_for_the_retention_of_the_broker(pipeline, until):
    await pipeline.put_budget(project_id="p1")
    await pipeline.send(*(counted("p1", number) for number in range(3)))
    pipeline.start_worker(TOY)
    kafka = pipeline.kafka
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()

    async def is_committed() -> bool:
        offsets = await admin.list_consumer_group_offsets(kafka.topics.alerting_group)
        return sum(each.offset for each in offsets.values()) > 0

    try:
        await until(is_committed)
    finally:
        await admin.close()


async def test_an_evaluator_follows_the_tiers_of_users(pipeline, until, states):
    await pipeline.put_budget(project_id="p1")
    pipeline.start_worker(TOY)
    await pipeline.send(counted("p1", 0))

    async def is_counted() -> bool:
        return "p1" in await states()

    await until(is_counted)
    async with following_tiers(pipeline.kafka) as tiers:
        await tiers.write([Tier("p1", "u", "pro"), Tier("p2", "u", "free")], per_project_max=10)

    async def has_changed() -> bool:
        found = await states()
        return {key: state.tier for key, state in found.items()} == {"p1": "pro", "p2": "free"}

    await until(has_changed)


async def test_an_evaluator_that_always_raises_stops_no_other(pipeline, until, states):
    await pipeline.put_budget(project_id="p1")
    pipeline.start_worker(TOY, TOY_RAISES="1")
    await pipeline.send(counted("p1", 0, 250))

    async def has_alerted() -> bool:
        return len(await pipeline.alerts()) == 2

    await until(has_alerted)


async def test_an_alert_follows_its_delta_within_a_fraction_of_a_second(pipeline, until, states):
    await pipeline.put_budget(project_id="p1")
    pipeline.start_worker(TOY)
    await pipeline.send(counted("p1", 0))

    async def is_counted() -> bool:
        return "p1" in await states()

    await until(is_counted)
    taken_s = []
    for number in range(1, 6):
        began_s = time.monotonic()
        await pipeline.send(counted("p1", number, 100))

        async def has_alerted(count: int = number) -> bool:
            return len(await pipeline.alerts()) == count

        await until(has_alerted)
        taken_s.append(time.monotonic() - began_s)
    assert min(taken_s) < 1, taken_s


def test_all_evaluators_are_registered_by_name() -> None:
    assert all(name == kind.name for name, kind in EVALUATORS.items())
