"""Time stands still for rules while events wait to be processed."""

from aiokafka import TopicPartition

from producers.settings import KafkaSettings
from streams.alerting.events_progress import SECOND_US, EventsProgress
from streams.alerting.settings import AlertingSettings

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
