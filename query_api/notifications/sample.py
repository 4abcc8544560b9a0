"""Build sample messages."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from producers.notifications.alert import Alert
from producers.notifications.message import Message, message_of
from producers.notifications.registry import EventTypes
from producers.notifications.rule_change import RuleChange

_AT_US = 1_795_262_400_000_000


def sample_message(
    event_types: EventTypes,
    state: str,
    title_template: str,
    text_template: str,
    public_url: str = "",
) -> Message:
    """Return a message about a sample alert of a rule.

    Raises:
        ValueError: a template cannot be rendered; the message begins with its field.
    """
    change = RuleChange(
        metric="p95_latency",
        group={"model": "gpt-4o"},
        comparison=">",
        window_start_us=_AT_US - 60_000_000,
        window_end_us=_AT_US,
        exemplars=("0af7651916cd43dd8448eb211c80319c",),
        annotations={"summary": "p95 latency is high"},
        reason="Latency (p95) is 7.2 s in 1 min, above 5 s",
        sequence=1,
    )
    alert = Alert(
        project_id="project",
        id="sample",
        event="alert.resolved" if state == "resolved" else "alert.firing",
        rule_kind="alert_rule",
        rule_id="rule_sample",
        name="p95 latency of answers",
        labels={"team": "support"},
        episode="sample",
        state=state,
        severity="critical",
        value=Decimal("7.2"),
        limit=Decimal(5),
        payload=msgspec.Raw(msgspec.json.encode(change)),
        created_us=_AT_US,
    )
    return message_of(
        [alert],
        event_types,
        message_id="sample",
        group_id="sample",
        group={"rule_id": "rule_sample"},
        firing_count=int(state != "resolved"),
        title_template=title_template,
        text_template=text_template,
        public_url=public_url,
    )
