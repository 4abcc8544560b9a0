"""Write past alerts to the new log, so that no threshold is alerted twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from clickhouse.rows import AlertRow
from clickhouse.store import Store
from producers.control.kinds.webhook import Webhook
from producers.kafka.topics import Topics
from streams.core.deliveries import delivery_id, delivery_of
from streams.core.jobs.state import JobState

_SQL: Final = """
SELECT project_id, id, event, rule_kind, rule_id, name, labels, episode, state, severity,
    toString(value) AS value, toString(limit_value) AS limit_value, payload,
    budget_id, scope, toUnixTimestamp64Micro(period_start_time) AS period_start_us, threshold,
    toInt64(spent * 1000000000000) AS spent_pico, toInt64(limit_usd * 1000000000000) AS limit_pico,
    trace_id, toUnixTimestamp64Micro(created_time) AS created_us, row_version
FROM alerts FINAL
ORDER BY created_time, id
"""
_alerts: Final = msgspec.json.Decoder(AlertRow, strict=False)


async def read_alerts(store: Store) -> list[AlertRow]:
    """Return all alerts. Raises like ``Store.query``."""
    return list(_alerts.decode_lines(await store.query_bytes(_SQL)))


async def restore_alerts(
    producer: AIOKafkaProducer,
    topics: Topics,
    alerts: Iterable[AlertRow],
    webhooks: Iterable[Webhook],
    *,
    delivered_before_us: int,
) -> int:
    """Write deliveries, then alerts; return the number of deliveries that will be repeated.

    Alerts from before ``delivered_before_us`` (Unix microseconds) count as delivered to all
    webhooks of their project. Later alerts are delivered again, with the same ``webhook-id``.

    Raises:
        KafkaError: the broker refused a record; call this again.
    """
    of_project: dict[str, list[Webhook]] = {}
    for webhook in webhooks:
        of_project.setdefault(webhook.project_id, []).append(webhook)
    again = 0
    alerts = list(alerts)
    for alert in alerts:
        for webhook in of_project.get(alert.project_id, ()):
            if alert.created_us >= delivered_before_us:
                again += 1
                continue
            state = JobState(
                status="done",
                attempts=1,
                updated_us=alert.created_us,
                detail="from before the log was restored",
            )
            delivery = delivery_of(delivery_id(alert.id, webhook.id), state)
            await _send(producer, topics.deliveries, delivery.id, delivery)
    for alert in alerts:
        await _send(producer, topics.alerts, alert.id, alert)
    return again


async def _send(producer: AIOKafkaProducer, topic: str, key: str, value: msgspec.Struct) -> None:
    await producer.send_and_wait(topic, msgspec.json.encode(value), key=key.encode(), partition=0)
