"""Alerts of rules, as the alerting stage writes them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from clickhouse.alert_rows import row_of_alert
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from tests.streams.project_pipeline import Pipeline


def now() -> int:
    return time.time_ns() // 1_000


async def fire(pipeline: Pipeline, alert_id: str, *, state: str = "firing", **fields: Any) -> None:
    """Write an alert; by default, each is an episode of its own."""
    delivered = fields.pop("delivered", True)
    change = RuleChange(
        metric="cost", comparison=">", window_start_us=0, window_end_us=1, delivered=delivered
    )
    event = f"alert.{state}"
    alert = Alert(
        **{
            "project_id": "p1", "id": alert_id, "event": event, "rule_kind": "alert_rule",
            "rule_id": "rule_1", "name": "cost", "episode": f"e-{alert_id}", "state": state,
            "payload": msgspec.Raw(msgspec.json.encode(change)), "created_us": now(),
        } | fields
    )  # fmt: skip
    row = row_of_alert(alert, EVENT_TYPES[event])
    await pipeline.producer.send_and_wait(
        pipeline.kafka.topics.alerts, msgspec.json.encode(row), key=alert.id.encode(), partition=0
    )
