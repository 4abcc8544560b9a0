"""Alerts create deliveries; unsupported events are retried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from clickhouse.rows import AlertRow
from producers.control.kinds.project import Project
from producers.control.kinds.webhook import Webhook, new_signing_secret
from producers.control.view import ControlView
from producers.notifications.rule_change import RuleChange
from producers.settings import KafkaSettings, WebhookSettings
from streams.core.jobs.state import Dropped, Failed, JobState
from streams.jobs.kind import JobContext
from streams.jobs.kinds.webhook_delivery import WebhookDeliveries
from streams.notifications.settings import NotifierSettings
from tracemill.clock import now_us

AT_US = now_us()


def webhook(**fields: Any) -> Webhook:
    return Webhook(
        **{
            "id": "w1",
            "project_id": "p1",
            "url": "http://127.0.0.1:1/",
            "events": ("budget.threshold_crossed",),
            "secret": new_signing_secret(),
            "created_us": AT_US,
        }
        | fields
    )


def record(**fields: Any) -> Any:
    """Return a record of ``alerts``, by default with an unsupported event."""
    row = {
        "project_id": "p1",
        "id": "a1",
        "event": "later.event",
        "rule_kind": "later",
        "rule_id": "r1",
        "name": "n",
        "episode": "e",
        "state": "firing",
        "severity": "info",
        "payload": '{"x":1}',
        "created_us": AT_US,
        "row_version": 1,
    }
    return SimpleNamespace(value=msgspec.json.encode(AlertRow(**row | fields)))


@pytest.fixture
async def view() -> ControlView:
    return ControlView()


@pytest.fixture
async def kind(view: ControlView) -> Any:
    control: Any = SimpleNamespace(view=view)
    opened = WebhookDeliveries(
        JobContext(KafkaSettings(), control, WebhookSettings(), NotifierSettings())
    )
    yield opened
    await opened.close()


async def test_a_delivery_of_an_unsupported_event_is_retried(
    kind: WebhookDeliveries, view: ControlView
) -> None:
    view.add(webhook(events=("later.event",)))
    [job] = kind.jobs_of(record())
    assert await kind.attempt(job) == Failed(
        "this version of tracemill does not support the event later.event", by_target=False
    )
    letter = kind.dead_letter(job, JobState(attempts=10, detail="no"))
    assert (letter.id, letter.reason) == ("a1/w1", "webhook_exhausted")
    assert '"x":1' in letter.payload


async def test_nothing_is_delivered_for_a_project_that_is_being_deleted(
    kind: WebhookDeliveries, view: ControlView
) -> None:
    view.add(webhook(events=("later.event",)))
    [job] = kind.jobs_of(record())
    view.add(Project(id="p1", name="p", created_us=AT_US, state="deleting"))
    assert await kind.attempt(job) == Dropped("the project is deleted")


async def test_webhooks_get_the_events_of_their_project_that_they_subscribe_to(
    kind: WebhookDeliveries, view: ControlView
) -> None:
    view.add(webhook(id="mine", events=("budget.threshold_crossed", "later.event")))
    view.add(webhook(id="other_event"))
    view.add(webhook(id="disabled", events=("later.event",), disabled=True))
    view.add(webhook(id="too_young", events=("later.event",), created_us=AT_US + 1))
    view.add(webhook(id="other_project", events=("later.event",), project_id="p2"))
    assert [job.id for job in kind.jobs_of(record())] == ["a1/mine"]


async def test_a_webhook_that_is_read_after_an_alert_gets_it_too(
    kind: WebhookDeliveries, view: ControlView
) -> None:
    assert list(kind.jobs_of(record())) == []
    late = webhook(events=("later.event",))
    view.add(late)
    [job] = kind.jobs_of_change(late)
    view.remove("webhook", "w1")
    assert await kind.attempt(job) == Dropped("the webhook is deleted or disabled")
    kind.sweep(AT_US + 8 * 24 * 3_600_000_000)
    assert list(kind.jobs_of_change(late)) == []


@pytest.mark.parametrize("delivered", [True, False])
async def test_an_alert_that_is_only_recorded_creates_no_delivery(
    kind: WebhookDeliveries, view: ControlView, delivered: bool
) -> None:
    view.add(webhook(events=("alert.firing",)))
    change = RuleChange(
        metric="cost", comparison=">", window_start_us=0, window_end_us=1, delivered=delivered
    )
    alert = record(
        event="alert.firing", rule_kind="alert_rule", payload=msgspec.json.encode(change).decode()
    )
    assert len([*kind.jobs_of(alert)]) == delivered
    assert len([*kind.jobs_of_change(webhook(id="w2", events=("alert.firing",)))]) == delivered


def rule_change(**fields: Any) -> str:
    change = RuleChange(
        metric="cost", comparison=">", window_start_us=0, window_end_us=AT_US, **fields
    )
    return msgspec.json.encode(change).decode()


async def test_alerts_of_rules_are_delivered_unless_they_are_only_recorded(
    kind: WebhookDeliveries, view: ControlView
) -> None:
    view.add(webhook(events=("alert.firing",)))
    fired = {"event": "alert.firing", "rule_kind": "alert_rule"}
    silenced = rule_change(delivered=False, not_delivered_reason="silenced")
    assert list(kind.jobs_of(record(id="a1", payload=silenced, **fired))) == []
    [job] = kind.jobs_of(record(id="a2", payload=rule_change(), **fired))
    assert job.id == "a2/w1"
    assert [each.id for each in kind.jobs_of_change(webhook(events=("alert.firing",)))] == ["a2/w1"]
