"""``webhook.test``: a test that a client requested; no rule creates it."""

from __future__ import annotations

import msgspec

from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType


class WebhookTest(msgspec.Struct, frozen=True, kw_only=True):
    """The payload, which has no fields of its own."""


class WebhookTested(EventType[WebhookTest]):
    """The event type ``webhook.test`` of tests."""

    name = "webhook.test"
    payload = WebhookTest

    def sentence(self, alert: Alert, payload: WebhookTest) -> str:  # noqa: ARG002
        """Return what happened."""
        return "messages arrive; nothing fires"


def alert_of_test(project_id: str, request_id: str, target_id: str, created_us: int) -> Alert:
    """Return the alert that a test delivers."""
    return Alert(
        project_id=project_id,
        id=request_id,
        event=WebhookTested.name,
        rule_kind="test",
        rule_id=target_id,
        name="Test of notifications",
        episode=request_id,
        severity="info",
        created_us=created_us,
    )
