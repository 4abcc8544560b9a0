"""Time stands still for rules while events wait to be processed, and deferred ones are noticed."""

from aiokafka import TopicPartition

from producers.settings import KafkaSettings
from streams.alerting.events_progress import SECOND_US, EventsProgress
from streams.alerting.settings import AlertingSettings
from streams.core.observations.deferral import (
    Decision,
    DeferredEnds,
    decision_headers,
    fence_headers,
    passed_headers,
)

FIRST, SECOND = TopicPartition("events", 0), TopicPartition("events", 1)
BEGIN_US = 1_000 * SECOND_US


def progress() -> EventsProgress:
    return EventsProgress(KafkaSettings(), AlertingSettings(events_behind_max_s=5), lambda: 0)


def at(second: float) -> int:
    return BEGIN_US + int(second * SECOND_US)


def test_time_passes_while_all_is_processed() -> None:
    events = progress()

    for second in range(100):
        events.measured(at(second), {FIRST: second}, {FIRST: second})

        assert events.time_us(at(second + 1)) == at(second + 1)


def test_time_passes_while_traffic_is_processed_with_a_delay() -> None:
    events = progress()

    for second in range(100):
        events.measured(at(second), {FIRST: 10 * second}, {FIRST: 10 * second - 15})

        assert second < 3 or events.time_us(at(second + 1)) == at(second + 1)


def test_time_stands_still_while_one_partition_is_behind_and_goes_on_afterwards() -> None:
    events = progress()
    events.measured(at(0), {FIRST: 5, SECOND: 5}, {FIRST: 5, SECOND: 5})

    for second in range(1, 60):
        events.measured(at(second), {FIRST: 5, SECOND: 5 + second}, {FIRST: 5, SECOND: 5})

    assert events.time_us(at(60)) == at(0)
    events.measured(at(61), {FIRST: 5, SECOND: 70}, {FIRST: 5, SECOND: 6})
    assert events.time_us(at(61)) == at(1)
    events.measured(at(62), {FIRST: 5, SECOND: 70}, {FIRST: 5, SECOND: 70})
    assert events.time_us(at(62)) == at(62)


def test_it_is_unknown_what_happened_before_the_first_measurement() -> None:
    assert progress().time_us(at(0)) == 0


def test_a_partition_without_commits_is_behind() -> None:
    events = progress()

    events.measured(at(0), {FIRST: 5}, {FIRST: -1})

    assert events.time_us(at(1)) == 0


def test_deferred_events_wait_until_they_are_appended_again() -> None:
    ends, decision = DeferredEnds(), decision_headers(Decision(0, 7, [("p", "t")]))
    for offset, headers, is_waiting in (
        (0, fence_headers(), False), (1, decision, True), (2, decision, True),
        (3, passed_headers(1), True), (4, fence_headers(), True), (5, passed_headers(2), False),
        (6, decision, True), (7, passed_headers(6), False),
    ):  # fmt: skip
        ends.add(offset, headers)
        assert ends.is_waiting is is_waiting, offset


def test_events_are_missing_until_it_is_known_and_while_they_are_behind() -> None:
    events = progress()
    assert events.is_partial
    events.measured(at(0), {FIRST: 5}, {FIRST: 5})
    assert events.is_partial, "deferred events may be waiting"
    events.deferred_read()
    assert not events.is_partial
    events.measured(at(60), {FIRST: 6}, {FIRST: 5})
    events.time_us(at(60))
    assert events.is_partial
    events.measured(at(61), {FIRST: 6}, {FIRST: 6})
    events.time_us(at(61))
    assert not events.is_partial


async def test_deferred_events_of_any_partition_are_noticed_on_the_broker(pipeline, until) -> None:
    decision, topic = Decision(0, 7, [("p", "t")]), pipeline.kafka.topics.deferred

    async def send(headers) -> int:
        sent = pipeline.producer.send_and_wait(topic, b"x", partition=1, headers=list(headers))
        return (await sent).offset

    await send(decision_headers(decision))
    events = EventsProgress(pipeline.kafka, AlertingSettings(), lambda: BEGIN_US)
    events.start()

    async def is_noticed() -> bool:
        return events.has_deferred

    await until(is_noticed)
    await send(passed_headers(await send(decision_headers(decision))))

    assert events.is_partial

    async def is_over() -> bool:
        return not events.is_partial

    await until(is_over)
    await events.stop()
