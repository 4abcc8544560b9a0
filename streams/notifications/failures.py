"""Writes dead letters of what the notifier cannot process."""

from __future__ import annotations

import time
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import DeadLetterRow
from producers.notifications.alert import Alert
from producers.settings import KafkaSettings
from streams.core.dead_letters.set_aside import Source, dead_letter_of_error
from streams.core.dead_letters.texts import cut_to_json_bytes, describe_error, owner_of_event
from streams.core.deliveries import Delivery, ended
from streams.notifications import metrics

log = structlog.get_logger(__name__)

STAGE: Final = "notifier"
RECORD_OVERHEAD_BYTES: Final = 64 * 1024
"""Upper bound of a record's bytes besides its row's payload."""


def is_transient(error: BaseException) -> bool:
    """Whether an exception is about the broker and not about what was to be processed."""
    return isinstance(error, KafkaError) and not isinstance(error, MessageSizeTooLargeError)


class FailedDeliveries:
    """Writes dead letters of the notifier; those of the same input have the same id."""

    def __init__(self, producer: AIOKafkaProducer, kafka: KafkaSettings) -> None:
        self._producer = producer
        self._topics = kafka.topics
        self._row_bytes_max = kafka.record_max_bytes - RECORD_OVERHEAD_BYTES

    async def record(self, record: ConsumerRecord, error: Exception) -> None:
        """Set aside a record of ``alerts`` or ``deliveries``.

        Raises:
            KafkaError: the broker does not keep the dead letter.
        """
        metrics.SET_ASIDE.labels("record").inc()
        log.error(
            "record_set_aside",
            topic=record.topic,
            offset=record.offset,
            reason=describe_error(error),
        )
        payload = record.value or b""
        await self.send(
            dead_letter_of_error(
                stage=STAGE,
                identity=f"{record.topic}/{record.partition}/{record.offset}",
                error=error,
                payload=payload,
                project_id=owner_of_event(payload),
                source=Source(
                    record.topic, record.partition, record.offset, record.timestamp * 1_000
                ),
                row_bytes_max=self._row_bytes_max,
            )
        )

    async def delivery(self, key: str, alert: Alert | None, error: Exception) -> Delivery:
        """Set aside a delivery and return its final state. Errors as ``record``."""
        metrics.SET_ASIDE.labels("delivery").inc()
        log.error("delivery_set_aside", delivery=key, reason=describe_error(error))
        now_us = time.time_ns() // 1_000
        alert_id, _, webhook_id = key.partition("/")
        await self.send(
            dead_letter_of_error(
                stage=STAGE,
                identity=key,
                error=error,
                payload=b"" if alert is None else msgspec.json.encode(alert),
                project_id="" if alert is None else alert.project_id,
                source=Source(
                    self._topics.alerts, 0, -1, now_us if alert is None else alert.created_us
                ),
                row_bytes_max=self._row_bytes_max,
            )
        )
        after = ended(
            Delivery(alert_id=alert_id, webhook_id=webhook_id),
            "exhausted",
            now_us,
            describe_error(error),
        )
        await self._producer.send_and_wait(
            self._topics.deliveries, msgspec.json.encode(after), key=key.encode(), partition=0
        )
        return after

    async def send(self, row: DeadLetterRow) -> None:
        """Write a dead letter that fits into a record. Errors as ``record``."""
        kept = cut_to_json_bytes(row.payload, self._row_bytes_max)
        if len(kept) < len(row.payload):
            metrics.LIMIT_REACHED.labels("record_max_bytes").inc()
            row = msgspec.structs.replace(row, payload=kept)
        await self._producer.send_and_wait(
            self._topics.dead_letters, msgspec.json.encode(row), partition=0
        )
