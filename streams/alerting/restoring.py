"""Read what a partition of the alerting stage has written: states, checkpoint and alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.alert_rows import alert_of_record
from producers.kafka.log_cursor import WhenTruncated
from producers.notifications.alert import Alert
from producers.settings import KafkaSettings
from streams.alerting.checkpoint import KEY, Checkpoint, checkpoint_of
from streams.runtime.log_reading import records_from

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Written:
    """What a partition has written.

    Attributes:
        checkpoint: the last checkpoint; None if there is none.
        states: the newest value of each state, by topic and key.
    """

    checkpoint: Checkpoint | None = None
    states: dict[str, dict[str, bytes]] = field(default_factory=dict)


async def read_states(kafka: KafkaSettings, partition: int, topics: Iterable[str]) -> Written:
    """Read the states and the checkpoint of a partition.

    Raises:
        BrokerUnavailableError, KafkaError, LogStalledError: the broker stopped answering.
    """
    written = Written()
    for topic in topics:
        states = written.states[topic] = {}
        async for record in _records(TopicPartition(topic, partition), kafka):
            if record.key == KEY:
                written.checkpoint = _checkpoint(record) or written.checkpoint
            elif record.key is not None and record.value is None:
                states.pop(record.key.decode(errors="replace"), None)
            elif record.key is not None:
                states[record.key.decode(errors="replace")] = record.value
    return written


async def read_alerts(kafka: KafkaSettings) -> AsyncIterator[Alert]:
    """Yield all alerts in the order in which they were written. Raises like ``read_states``."""
    async for record in _records(TopicPartition(kafka.topics.alerts, 0), kafka):
        if record.value is None:
            continue
        try:
            alert = alert_of_record(record.value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue  # an alert of another version cannot repeat one of this version
        yield alert


def _records(partition: TopicPartition, kafka: KafkaSettings) -> AsyncIterator[ConsumerRecord]:
    return records_from(kafka, partition, when_truncated=WhenTruncated.CONTINUE)


def _checkpoint(record: ConsumerRecord) -> Checkpoint | None:
    try:
        return checkpoint_of(record)
    except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
        # Continue from the previous checkpoint: later input is applied again.
        log.exception("checkpoint_unreadable", offset=record.offset)
        return None
