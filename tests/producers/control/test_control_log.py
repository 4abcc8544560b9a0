"""The control-plane log on a real broker: what one process writes, every process reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.all_topics import ensure_topics
from producers import metrics
from producers.control.keys import key_of_public_key, new_api_key
from producers.control.kinds.budget import Budget
from producers.control.kinds.project import Project
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.record import Change, Tombstone
from producers.errors import (
    BrokerUnavailableError,
    ControlConflictError,
    ControlLimitError,
    ControlUnavailableError,
    TopicError,
)
from producers.kafka.clients import client_options
from producers.settings import KafkaSettings
from tests.fixtures.control_log import following
from tests.producers.gateway.conftest import times_reached


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(
        broker=kafka_broker, topic_prefix=topic_prefix, event_partitions=1, project_partitions=1
    )
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def control(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as log:
        yield log


@pytest.fixture
async def other(kafka: KafkaSettings) -> AsyncIterator[ControlLog]:
    async with following(kafka) as log:
        yield log


def budget(budget_id: str = "b1", *, name: str = "tokens of July") -> Budget:
    return Budget(
        id=budget_id,
        project_id="p1",
        name=name,
        scope={"user_id": "u1"},
        period="day",
        limit_pico=10**11,
        thresholds=("1.0", "0.8"),
        created_us=1,
    )


async def test_a_record_is_in_the_view_once_put_returns(control: ControlLog) -> None:
    written = await control.put(budget())

    assert control.view[Budget] == {"b1": written}
    assert written.thresholds == ("0.8", "1.0")


async def test_another_process_reads_what_was_written_and_what_was_deleted(
    control: ControlLog, other: ControlLog
) -> None:
    await control.put(budget())
    await control.put(budget(name="renamed"))
    await other.caught_up()
    assert other.view[Budget]["b1"].name == "renamed"

    assert await control.delete("budget", "b1") is True
    await other.caught_up()
    assert other.view[Budget] == {}
    assert await other.delete("budget", "b1") is False


async def test_a_process_that_starts_later_knows_everything(
    kafka: KafkaSettings, control: ControlLog
) -> None:
    for number in range(20):
        await control.put(budget(f"b{number}"))
    await control.delete("budget", "b7")

    async with following(kafka) as late:
        assert late.view[Budget] == control.view[Budget]
        assert len(late.view[Budget]) == 19


async def test_of_two_creators_exactly_one_wins_and_everybody_sees_the_same(
    control: ControlLog, other: ControlLog
) -> None:
    outcomes = await asyncio.gather(
        control.create(budget(name="mine")),
        other.create(budget(name="yours")),
        return_exceptions=True,
    )

    lost = [outcome for outcome in outcomes if isinstance(outcome, ControlConflictError)]
    won = [outcome for outcome in outcomes if isinstance(outcome, Budget)]
    assert len(lost) == 1
    assert len(won) == 1
    await control.caught_up()
    await other.caught_up()
    assert control.view[Budget] == other.view[Budget] == {"b1": won[0]}


async def test_two_puts_of_a_new_record_both_succeed_and_one_value_stays(
    control: ControlLog, other: ControlLog
) -> None:
    await asyncio.gather(control.put(budget(name="mine")), other.put(budget(name="yours")))

    await control.caught_up()
    await other.caught_up()
    assert control.view[Budget] == other.view[Budget]
    assert control.view[Budget]["b1"].name in {"mine", "yours"}


async def test_a_public_key_belongs_to_one_key_only(control: ControlLog) -> None:
    key = new_api_key(key_id="k1", project_id="p1", public_key="pk-1", secret="s", created_us=1)
    await control.create(key)

    with pytest.raises(ControlConflictError, match="pk-1 is taken"):
        await control.create(key.model_copy(update={"id": "k2"}))
    assert key_of_public_key(control.view, "pk-1") == key


async def test_subscribers_hear_what_is_there_then_every_change(
    control: ControlLog, other: ControlLog
) -> None:
    first = await control.put(budget("b1"))
    await other.caught_up()
    heard: list[Change] = []
    other.subscribe(heard.append)

    second = await control.put(budget("b2"))
    await control.delete("budget", "b1")
    await other.caught_up()

    assert heard == [first, second, Tombstone(kind="budget", id="b1")]


async def test_a_record_above_the_limit_is_refused(kafka: KafkaSettings) -> None:
    async with following(kafka.model_copy(update={"control_record_max_bytes": 1024})) as control:
        with pytest.raises(ControlLimitError, match="the maximum is 1024"):
            await control.put(
                Webhook(
                    id="w1",
                    project_id="p1",
                    url="http://localhost/" + "x" * 1500,
                    events=("budget.threshold_crossed",),
                    secret="whsec_" + "a" * 32,
                    created_us=1,
                )
            )


async def test_no_more_records_than_the_limit_are_created(kafka: KafkaSettings) -> None:
    async with following(kafka.model_copy(update={"control_records_max": 1})) as control:
        await control.create(budget("b1"))
        with pytest.raises(ControlLimitError, match="control_records_max"):
            await control.create(budget("b2"))
        assert (await control.put(budget("b1", name="new"))).name == "new"


async def test_records_of_newer_versions_are_skipped_and_the_rest_is_read(
    kafka: KafkaSettings, control: ControlLog
) -> None:
    producer = AIOKafkaProducer(**client_options(kafka))
    try:
        await producer.start()
        for key, value in (
            (b"dream/1/x", b'{"version":2,"kind":"dream","record":{"id":"1"}}'),
            (b"budget/b9/x", b'{"kind":"budget","record":{"id":"b9"}}'),
            (b"budget/b8/x", b"not json"),
            (
                b"project/p/x",
                b'{"kind":"project","new":1,"record":{"id":"p","name":"P","created_us":1,"new":2}}',
            ),
        ):
            await producer.send_and_wait(kafka.topics.control, value, key=key)
    finally:
        await producer.stop()

    await control.caught_up()

    assert control.view.records() == [Project(id="p", name="P", created_us=1)]


async def test_a_process_keeps_only_the_kinds_that_it_needs(
    kafka: KafkaSettings, control: ControlLog
) -> None:
    await control.put(budget())
    project = Project(id="p1", name="P", created_us=1)
    await control.put(project)

    before = metrics.CONTROL_UNREADABLE._value.get()
    async with following(kafka, only=[Budget]) as streams:
        assert streams.view.records() == [budget()]
        with pytest.raises(ValueError, match="does not keep records of kind 'project'"):
            await streams.put(project)
    assert metrics.CONTROL_UNREADABLE._value.get() == before


async def test_starting_without_the_topic_says_what_to_do(
    kafka_broker: str, topic_prefix: str
) -> None:
    bare = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix, request_timeout_s=0.5)
    with pytest.raises(TopicError, match="tracemill migrate"):
        async with following(bare):
            pass


async def test_a_log_that_is_not_read_in_time_is_an_error_and_counted(
    kafka: KafkaSettings,
) -> None:
    before = times_reached("control_write_timeout_s")
    with pytest.raises(ControlUnavailableError):
        async with following(kafka.model_copy(update={"control_write_timeout_s": 1e-9})):
            pass
    assert times_reached("control_write_timeout_s") == before + 1


async def test_starting_without_a_broker_says_where_it_looked(topic_prefix: str) -> None:
    nowhere = KafkaSettings(broker="127.0.0.1:1", topic_prefix=topic_prefix, broker_wait_s=0.5)
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        async with following(nowhere):
            pass


def test_secrets_do_not_show_in_records() -> None:
    key = new_api_key(key_id="k", project_id="p", public_key="pk", secret="hush", created_us=1)
    hook = Webhook(
        id="w",
        project_id="p",
        url="http://example.test",
        events=("budget.threshold_crossed",),
        secret="whsec_" + "topsecret" * 4,
        created_us=1,
    )

    assert "hush" not in repr(key)
    assert key.salt not in repr(key)
    assert "topsecret" not in repr(hook)
