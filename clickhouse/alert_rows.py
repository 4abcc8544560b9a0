"""Convert alerts to rows and records, and back.

Old records and rows have only the columns of budgets and no ``rule_kind``. ``alert_of_row`` fills
the generic columns of old records, as migration 16 does for old rows.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from clickhouse.rows import AlertRow
from producers.money import usd_text
from producers.notifications.alert import Alert, Severity
from producers.notifications.event_type import EventType
from producers.notifications.event_types.budget_threshold_crossed import (
    BudgetThresholdCrossed,
    ThresholdCrossed,
)

BUDGET: Final = "budget"
_row: Final = msgspec.json.Decoder(AlertRow)
_raw: Final = msgspec.json.Decoder(msgspec.Raw)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_labels: Final = msgspec.json.Decoder(dict[str, str])


def row_of_alert(alert: Alert, event_type: EventType[Any]) -> AlertRow:
    """Return the row of an alert, which is also the value of its record.

    Raises:
        msgspec.DecodeError: The payload is not of this event type.
    """
    return AlertRow(
        project_id=alert.project_id,
        id=alert.id,
        event=alert.event,
        rule_kind=alert.rule_kind,
        rule_id=alert.rule_id,
        name=alert.name,
        labels=alert.labels,
        episode=alert.episode,
        state=alert.state,
        severity=alert.severity,
        value=alert.value,
        limit_value=alert.limit,
        payload=bytes(alert.payload).decode(),
        created_us=alert.created_us,
        row_version=alert.version,
        **event_type.columns(alert, event_type.payload_of(alert)),
    )


def alert_of_record(value: bytes) -> Alert:
    """Decode a record of the topic ``alerts``, of this or an older version.

    Raises:
        msgspec.MsgspecError: The value is not an alert.
    """
    return alert_of_row(_row.decode(value))


def alert_of_row(row: AlertRow) -> Alert:
    """Return the alert of a row. Raises like ``alert_of_record``."""
    if not row.rule_kind:
        return _budget_alert(row)
    return Alert(
        project_id=row.project_id,
        id=row.id,
        event=row.event,
        rule_kind=row.rule_kind,
        rule_id=row.rule_id,
        name=row.name,
        labels=row.labels,
        episode=row.episode,
        state=row.state,
        severity=msgspec.convert(row.severity, Severity),
        value=row.value,
        limit=row.limit_value,
        payload=_raw.decode(row.payload),
        created_us=row.created_us,
        version=row.row_version,
    )


def _budget_alert(row: AlertRow) -> Alert:
    return budget_alert(
        project_id=row.project_id,
        alert_id=row.id,
        budget_id=row.budget_id,
        name=row.name,
        crossed=ThresholdCrossed(
            scope=_object(row.scope),
            period_start_us=row.period_start_us,
            threshold=row.threshold,
            spent_pico=row.spent_pico,
            limit_pico=row.limit_pico,
            trace_id=row.trace_id,
        ),
        created_us=row.created_us,
        version=row.row_version,
    )


def budget_alert(
    *,
    project_id: str,
    alert_id: str,
    budget_id: str,
    name: str,
    crossed: ThresholdCrossed,
    created_us: int,
    version: int = 1,
) -> Alert:
    """Return the alert of a crossed threshold."""
    return Alert(
        project_id=project_id,
        id=alert_id,
        event=BudgetThresholdCrossed.name,
        rule_kind=BUDGET,
        rule_id=budget_id,
        name=name,
        labels=_labels_of(crossed.scope),
        episode=f"{budget_id}/{crossed.period_start_us}",
        severity=_severity(crossed.threshold),
        value=Decimal(usd_text(crossed.spent_pico)),
        limit=Decimal(usd_text(crossed.limit_pico)),
        payload=msgspec.Raw(msgspec.json.encode(crossed)),
        created_us=created_us,
        version=version,
    )


def _object(text: str) -> msgspec.Raw:
    """Return the text of a JSON object; an empty object for any other text."""
    try:
        _members.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return msgspec.Raw(b"{}")
    return msgspec.Raw(text.encode())


def _labels_of(scope: msgspec.Raw) -> dict[str, str]:
    try:
        return _labels.decode(scope)
    except msgspec.MsgspecError:
        return {}


def _severity(threshold: str) -> Severity:
    """Return ``critical`` if the threshold is at least the whole limit, otherwise ``warning``."""
    try:
        return "critical" if Decimal(threshold) >= 1 else "warning"
    except (InvalidOperation, ValueError):  # validating the event's body reports it
        return "warning"
