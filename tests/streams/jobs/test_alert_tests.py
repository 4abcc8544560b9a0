"""Test alerts are delivered to webhooks, and alerts that are only recorded are not."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from clickhouse.alert_rows import row_of_alert
from producers.alerting.trial_alerts import alert_of_test, trial_alert_id
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from tests.streams.notifier.receivers import receiving
from tracemill.clock import now_us

WORKER = "tests.streams.jobs.worker_of_kinds"
RULE = AlertRule(
    id="rule_1", project_id="p1", name="slow", metric="avg_latency", threshold="5", window_s=60,
    group_by=("model",), annotations={"summary": "{{ group.model }} {{ value }}"}, created_us=1,
)  # fmt: skip


def request_of(record_id: str) -> AlertTest:
    return AlertTest(
        id=record_id,
        project_id="p1",
        rule_id=RULE.id,
        author="ada",
        created_us=now_us(),
    )


async def test_a_test_alert_is_written_and_delivered_once_and_its_request_removed(
    pipeline: Any, until: Any
) -> None:
    async with receiving() as hook:
        await pipeline.put_webhook(hook.url, events=("alert.firing",))
        await pipeline.control.put(RULE)
        test, orphan = (
            request_of("test_1"),
            request_of("test_2").model_copy(update={"rule_id": "gone"}),
        )
        await pipeline.control.put(test)
        await pipeline.control.put(orphan)
        pipeline.start_worker(WORKER)

        async def delivered() -> bool:
            return len(hook.ids) == 1 and not pipeline.control.view[AlertTest]

        await until(delivered)
        pipeline.kill_workers()
        silent = alert_of_test(request_of("test_3"), RULE)
        change = msgspec.json.decode(silent.payload, type=RuleChange)
        change = msgspec.structs.replace(change, delivered=False, not_delivered_reason="shadow")
        silent = msgspec.structs.replace(silent, payload=msgspec.Raw(msgspec.json.encode(change)))
        loud = alert_of_test(request_of("test_4"), RULE)
        for alert in (silent, loud):
            value = msgspec.json.encode(row_of_alert(alert, EVENT_TYPES[alert.event]))
            topic = pipeline.kafka.topics.alerts
            await pipeline.producer.send_and_wait(topic, value, key=alert.id.encode(), partition=0)
        pipeline.start_worker(WORKER)

        async def delivered_again() -> bool:
            return len(hook.ids) >= 2

        await until(delivered_again)
    assert hook.ids == [trial_alert_id(test), loud.id]
    states = [json.loads(each) for each in await pipeline.values_of(pipeline.kafka.topics.jobs)]
    assert {each["project_id"] for each in states if "state" not in each} == {"p1"}
    data = msgspec.json.decode(hook.requests[0][1])["data"]
    assert (data["test"], data["group"], data["value"]) == (True, {"model": "sample"}, 5.0)
    assert data["annotations"] == {"summary": "sample 5"}
    assert (data["rule_id"], data["rule_name"], data["reason"]) == (
        "rule_1", "slow", "a test by ada",
    )  # fmt: skip
