"""Write the output of the alerting stage: alerts, states and checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from clickhouse.alert_rows import row_of_alert
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType
from producers.notifications.registry import EVENT_TYPES
from streams.alerting import metrics
from streams.alerting.checkpoint import KEY, Checkpoint, headers_of
from streams.core.alerting.evaluator import State
from tracemill.clock import now_us

RECORD_OVERHEAD_BYTES: Final = 64 * 1024
"""Upper bound of the bytes of a record in addition to its value."""
SENDING_MAX: Final = 1_000
"""Alerts that are sent before the stage waits for the acknowledgement of the first of them."""

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class AlertingOutput:
    """The writer of one partition's output."""

    producer: AIOKafkaProducer
    topics: Topics
    states_topic: str
    """Topic with the checkpoints."""
    partition: int
    record_max_bytes: int
    states_in_flight_max: int
    event_types: Mapping[str, EventType[Any]] = field(default_factory=lambda: EVENT_TYPES)
    is_writing: bool = field(init=False, default=False)
    """Whether a flush is being written."""
    _sending: list[asyncio.Task[object]] = field(default_factory=list)

    async def send_alerts(self, alerts: Iterable[Alert], appended_us: int) -> None:
        """Start to send alerts; one that cannot be encoded is logged and counted.

        Args:
            alerts: the alerts.
            appended_us: append time of the newest applied delta, to measure the latency.

        Raises:
            KafkaError: the broker refused an earlier alert.
        """
        for alert in alerts:
            try:
                row = row_of_alert(alert, self.event_types[alert.event])
                value = _encode(row)
                if len(value) > self.record_max_bytes - RECORD_OVERHEAD_BYTES:
                    raise ValueError(f"the alert has {len(value)} bytes")  # noqa: TRY301
            except Exception:
                metrics.FAILURES.labels("alert").inc()
                log.exception("alert_not_encoded", alert=alert.id, rule=alert.rule_id)
                continue
            metrics.ALERTS.labels(alert.event).inc()
            sent = self.producer.send_and_wait(
                self.topics.alerts, value, key=alert.id.encode(), partition=0
            )
            task = asyncio.create_task(sent, name=alert.id)
            task.add_done_callback(lambda done: _measure(done, appended_us))
            self._sending.append(task)
            while len(self._sending) >= SENDING_MAX:
                await self._first_acknowledged()

    async def flush(self, states: Mapping[str, Iterable[State]], checkpoint: Checkpoint) -> None:
        """Write a flush; return when it is acknowledged.

        1. Wait for the acknowledgement of all alerts. 2. Write the states of each topic.
        3. Write the checkpoint.

        Raises:
            KafkaError: the broker refused a record.
        """
        self.is_writing = True
        with metrics.FLUSH_S.time():
            while self._sending:
                await self._first_acknowledged()
            for topic, changed in states.items():
                await self._send_states(topic, changed)
            await self.producer.send_and_wait(
                self.states_topic,
                b"",
                key=KEY,
                partition=self.partition,
                headers=headers_of(checkpoint),
            )
        self.is_writing = False

    async def _first_acknowledged(self) -> None:
        await self._sending[0]
        del self._sending[0]

    async def _send_states(self, topic: str, states: Iterable[State]) -> None:
        """Send states in whole batches, which costs much less CPU than single records."""
        batch, count = self.producer.create_batch(), 0
        sent: list[asyncio.Future[object]] = []
        for state in states:
            key = state.key.encode()
            values: list[bytes | None] = [_encode(state.row)]
            if state.is_deleted:
                values.append(None)
            for value in values:
                if batch.append(key=key, value=value, timestamp=None) is None:  # it is full
                    sent.append(await self._send_batch(batch, topic))
                    batch = self.producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
                count += 1
            if count >= self.states_in_flight_max:
                sent.append(await self._send_batch(batch, topic))
                await asyncio.gather(*sent)
                batch, count = self.producer.create_batch(), 0
                sent.clear()
        if batch.record_count():
            sent.append(await self._send_batch(batch, topic))
        await asyncio.gather(*sent)

    async def _send_batch(self, batch: BatchBuilder, topic: str) -> asyncio.Future[object]:
        return await self.producer.send_batch(batch, topic, partition=self.partition)  # type: ignore[no-any-return]


def _measure(sent: asyncio.Task[object], appended_us: int) -> None:
    """Observe the latency of an alert; retrieve the exception of a failed one."""
    if not sent.cancelled() and sent.exception() is None and appended_us:
        metrics.LATENCY_S.observe(max(0.0, (now_us() - appended_us) / 1e6))
