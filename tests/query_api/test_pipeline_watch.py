"""The pipeline's progress is checked on a real broker, with consumers that stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NotCoordinatorForGroupError
from prometheus_client import REGISTRY

from clickhouse.all_topics import ensure_topics
from producers.kafka.broker_clock import BrokerClock
from producers.kafka.clients import new_admin, new_consumer
from producers.kafka.consumer_groups import ConsumerGroups
from producers.settings import KafkaSettings
from query_api.health.pipeline_watch import PipelineWatch, Stage
from query_api.settings import QuerySettings

WITHIN_S = 60.0
QUICK = QuerySettings(
    readiness_look_interval_s=0.05,
    readiness_canary_interval_s=0.1,
    readiness_record_age_max_s=0.5,
    readiness_timeout_s=WITHIN_S,
)


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    kafka = KafkaSettings(
        broker=kafka_broker, topic_prefix=topic_prefix, event_partitions=1, project_partitions=1
    )
    await ensure_topics(kafka)
    return kafka


@asynccontextmanager
async def member(kafka: KafkaSettings, stage: Stage) -> AsyncIterator[AIOKafkaConsumer]:
    """The only member of a stage's group: it processes when it is told to."""
    consumer = new_consumer(
        kafka, *stage.topics, group_id=stage.group, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def processing(consumer: AIOKafkaConsumer, *but: str) -> AsyncIterator[None]:
    """Commit what comes while the block runs, except of the topics ``but``."""

    async def process() -> None:
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=50)).items():
                if partition.topic not in but:
                    await consumer.commit({partition: records[-1].offset + 1})

    task = asyncio.create_task(process())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(
    ask: Callable[[], Awaitable[str | None]], holds: Callable[[str | None], bool]
) -> str | None:
    found: str | None = ""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not holds(found := await ask()):  # noqa: ASYNC110  (of a task that looks by itself)
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"last: {found}")
    return found


async def test_a_stage_is_ready_while_its_records_are_processed_and_names_where_it_hangs(
    kafka: KafkaSettings,
) -> None:
    watch = PipelineWatch(kafka, QUICK)
    streams = watch.streams

    async def fault() -> str | None:
        return await watch.stage_fault(streams)

    async with watch.running():
        await until(fault, lambda found: found == f"the group {streams.group} has no active member")
        async with member(kafka, streams) as consumer:
            async with processing(consumer):
                await until(fault, lambda found: found is None)
            events, deltas, *of_sink = watch.progress()
            assert (events.topic, deltas.topic) == streams.topics
            assert {each.stage for each in of_sink} == {"sink"}
            assert events.arrived_per_s > 0, "of the canaries"
            # It is a member still, and nobody sends anything but the watch itself.
            hung = await until(fault, lambda found: found is not None)
            assert max(each.lag_records for each in watch.progress()) > 0
            assert max(each.oldest_s for each in watch.progress()) > 0.5
            assert f"partition 0 of {kafka.topics.prefix}" in str(hung)
            async with processing(consumer, kafka.topics.deltas):
                events_work = f"partition 0 of {kafka.topics.deltas} has made no progress for"
                await until(fault, lambda found: str(found).startswith(events_work))
            consumer.seek(TopicPartition(kafka.topics.deltas, 0), 0)
            async with processing(consumer):
                await until(fault, lambda found: found is None)
        await until(fault, lambda found: found == f"the group {streams.group} has no active member")
    assert await watch.broker_fault() is None


async def test_a_broker_that_is_absent_or_empty_is_not_ready(
    kafka_broker: str, topic_prefix: str
) -> None:
    empty = PipelineWatch(KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix), QUICK)
    absent = PipelineWatch(KafkaSettings(broker="127.0.0.1:1", broker_wait_s=0.1), QUICK)
    async with empty.running(), absent.running():
        found = await until(empty.broker_fault, lambda found: "missing topics" in str(found))
        assert f"{topic_prefix}.control" in str(found)
        await until(absent.broker_fault, lambda found: "does not answer: no Kafka" in str(found))
        assert "its progress is unknown: " in str(await absent.stage_fault(absent.sink))


async def test_canaries_compare_the_clocks(kafka: KafkaSettings) -> None:
    clock = BrokerClock(60)
    watch = PipelineWatch(kafka, QUICK, clock)
    clock.skew_s = 1e9

    async def ahead() -> str | None:
        return await clock.fault()

    async with watch.running():
        await until(ahead, lambda found: found is None)
    assert REGISTRY.get_sample_value("tracemill_clock_skew_seconds") == clock.skew_s


async def test_the_coordinator_of_a_group_is_looked_up_once(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = PipelineWatch(kafka, QUICK)
    admin = new_admin(kafka)
    await admin.start()
    try:
        looked_up = Counter[str]()
        find = admin.find_coordinator

        async def counted(group: str) -> int:
            looked_up[group] += 1
            return int(await find(group))

        monkeypatch.setattr(admin, "find_coordinator", counted)
        groups = ConsumerGroups(admin)
        async with member(kafka, watch.sink) as consumer:
            await consumer.getmany(timeout_ms=100)
            partition = TopicPartition(watch.sink.topics[0], 0)
            await consumer.commit({partition: 7})
            for _ in range(3):
                assert await groups.has_members(watch.sink.group)
                assert await groups.committed(watch.sink.group) == {partition: 7}
        assert not await groups.has_members(watch.sink.group)
    finally:
        await admin.stop()

    assert looked_up == {watch.sink.group: 1}


class FormerCoordinator:
    """An admin client whose broker answers that it is not the coordinator, like Kafka does."""

    async def find_coordinator(self, _: str) -> int:
        return 1

    async def describe_consumer_groups(self, groups: list[str], **_: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(groups=[(16, groups[0], "", "", "", [])])]


async def test_the_answer_of_a_former_coordinator_is_not_used() -> None:
    groups = ConsumerGroups(FormerCoordinator())

    with pytest.raises(NotCoordinatorForGroupError):
        await groups.has_members("streams")
