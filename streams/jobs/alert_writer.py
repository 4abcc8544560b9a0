"""Write alerts to their topic."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from clickhouse.alert_rows import row_of_alert
from producers.kafka.clients import new_producer, started, stopped
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType
from producers.settings import KafkaSettings


class AlertWriter:
    """Write alerts; the first write connects."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def write(self, alert: Alert, event_type: EventType[Any]) -> None:
        """Write an alert, and wait until the broker has it.

        Raises:
            KafkaError: the broker failed.
        """
        async with self._starting:
            if self._producer is None:
                batch_bytes = self._kafka.control_record_max_bytes
                self._producer = await started(
                    lambda: new_producer(self._kafka, batch_bytes=batch_bytes), self._kafka
                )
        value = msgspec.json.encode(row_of_alert(alert, event_type))
        topic = self._kafka.topics.alerts
        await self._producer.send_and_wait(topic, value, key=alert.id.encode(), partition=0)

    async def close(self, timeout_s: float) -> None:
        """Disconnect."""
        if self._producer is not None:
            await stopped(self._producer, timeout_s)
