"""Define types of notification events: name, payload, webhook body and shape in the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from producers.notifications.alert import Alert

_SECOND_US: Final = 1_000_000


class AlertShape(msgspec.Struct, kw_only=True):
    """The default shape of an alert in ``/v1/alerts``."""

    id: str
    """Also the ``webhook-id`` of its deliveries."""
    type: str
    rule_kind: str
    rule_id: str
    name: str
    labels: dict[str, str]
    episode_id: str
    state: str
    severity: str
    value: str | None
    threshold: str | None
    details: msgspec.Raw
    """The payload of the event type."""
    created_at: str


PayloadT = TypeVar("PayloadT", bound=msgspec.Struct)


class EventType(Generic[PayloadT]):
    """A type of notification event; subclasses set ``name`` and ``payload``.

    By default, the webhook body has the generic fields of the alert and those of the payload.
    """

    name: ClassVar[str]
    payload: type[PayloadT]
    """Struct with the fields of this type that alerts have in addition to the generic ones."""
    is_alert: ClassVar[bool] = True
    """False for events that need no attention: only routes that name the event select them."""
    shape: ClassVar[type[msgspec.Struct]] = AlertShape
    """Struct of an alert of this type in ``/v1/alerts``."""

    def payload_of(self, alert: Alert) -> PayloadT:
        """Decode an alert's payload.

        Raises:
            msgspec.DecodeError: the payload is not of this type.
        """
        return msgspec.json.decode(alert.payload, type=self.payload)

    def is_delivered(self, alert: Alert) -> bool:  # noqa: ARG002
        """Return whether receivers are notified, instead of only recording the alert."""
        return True

    def webhook_body(self, alert: Alert) -> bytes:
        """Return the body that webhooks receive; it is the same each time the alert is sent."""
        return msgspec.json.encode(
            {
                "type": self.name,
                "timestamp": iso_time(alert.created_us),
                "data": self.webhook_data(alert, self.payload_of(alert)),
            }
        )

    def webhook_data(self, alert: Alert, payload: PayloadT) -> Mapping[str, object]:
        """Return the member ``data`` of the webhook body."""
        return {
            "rule_id": alert.rule_id,
            "rule_name": alert.name,
            "episode_id": alert.episode,
            "state": alert.state,
            "severity": alert.severity,
            "labels": alert.labels,
            "value": decimal_text(alert.value),
            "threshold": decimal_text(alert.limit),
            **msgspec.structs.asdict(payload),
        }

    def sentence(self, alert: Alert, payload: PayloadT) -> str:  # noqa: ARG002
        """Return what happened, for the default text of messages to channels."""
        value, limit = decimal_text(alert.value), decimal_text(alert.limit)
        parts = [alert.state] if value is None else [alert.state, f"value {value}"]
        return ", ".join(parts if limit is None else [*parts, f"threshold {limit}"])

    def shown(self, alert: Alert) -> msgspec.Struct:
        """Return the alert as ``/v1/alerts`` lists it, an instance of ``shape``."""
        return shown_alert(alert)

    def columns(self, alert: Alert, payload: PayloadT) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the columns of the table ``alerts`` that only this type has."""
        return {}


def shown_alert(alert: Alert) -> AlertShape:
    """Return the generic shape of an alert."""
    return AlertShape(
        id=alert.id,
        type=alert.event,
        rule_kind=alert.rule_kind,
        rule_id=alert.rule_id,
        name=alert.name,
        labels=alert.labels,
        episode_id=alert.episode,
        state=alert.state,
        severity=alert.severity,
        value=decimal_text(alert.value),
        threshold=decimal_text(alert.limit),
        details=alert.payload,
        created_at=iso_time(alert.created_us),
    )


def decimal_text(number: object) -> str | None:
    """Return a decimal number without an exponent; None for None."""
    return None if number is None else format(number, "f")


def iso_time(at_us: int) -> str:
    """Return a time as ISO 8601 with 3 decimals of the second, or with 6 if 3 are not exact."""
    seconds, micros = divmod(at_us, _SECOND_US)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros, tzinfo=None)
    return at.isoformat(timespec="microseconds" if micros % 1000 else "milliseconds") + "Z"
