"""Create the alerts and the rows of states of rules."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from clickhouse.rows import AlertStateRow
from producers.alerting.annotations import compared_as, rendered, values_of
from producers.alerting.metrics.silence import SILENCE
from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange
from producers.notifications.rule_texts import condition_sentence
from producers.notifications.wording import duration_text
from streams.core.alerting.rules.machine import Event, GroupState, alert_id
from streams.core.alerting.rules.suppression import Suppression

RULE_KIND: Final = "alert_rule"


def alert_of(
    record: AlertRule,
    group: GroupState,
    event: Event,
    values: Mapping[str, str],
    suppression: Suppression | None,
    now_us: int,
) -> Alert:
    """Return the alert of a change of a group, whose episode and sequence are set."""
    state = event.removeprefix("alert.")
    annotations = rendered(
        record,
        values_of(
            record,
            state=state,
            value=group.value,
            group=values,
            window_us=group.window_us,
            exemplars=group.exemplars,
            reason=group.reason,
        ),
    )
    change = RuleChange(
        metric=record.metric,
        group=dict(values),
        comparison=record.comparison,
        compared_as=compared_as(record),
        window_start_us=group.window_us[0],
        window_end_us=group.window_us[1],
        exemplars=group.exemplars,
        incomplete=group.is_incomplete,
        annotations=annotations,
        reason=group.reason,
        sequence=group.sequence,
        rule_version=record.version,
        delivered=suppression is None,
        not_delivered_reason="" if suppression is None else suppression.reason,
    )
    return Alert(
        project_id=record.project_id,
        id=alert_id(group.episode_id, event, group.sequence),
        event=event,
        rule_kind=RULE_KIND,
        rule_id=record.id,
        name=record.name,
        labels=dict(record.labels),
        episode=group.episode_id,
        state=state,
        severity=record.severity,
        value=group.value,
        limit=record.threshold_value,
        payload=msgspec.Raw(msgspec.json.encode(change)),
        created_us=now_us,
    )


def row_of_state(
    record: AlertRule,
    group: GroupState,
    group_json: str,
    *,
    complete_since_us: int,
    input_offset: int,
    now_us: int,
    is_deleted: bool = False,
) -> AlertStateRow:
    """Return the row of a group's state, with a higher version than the last one."""
    group.row_version = max(group.row_version + 1, now_us)
    return AlertStateRow(
        project_id=record.project_id,
        rule_id=record.id,
        group=group_json,
        state=group.state,
        is_deleted=int(is_deleted),
        rule_version=record.version,
        severity=record.severity,
        labels=dict(record.labels),
        episode_id=group.episode_id,
        sequence=group.sequence,
        started_us=group.started_us,
        since_us=group.since_us,
        value=group.value,
        threshold=record.threshold_value,
        window_start_us=group.window_us[0],
        window_end_us=group.window_us[1],
        silenced=int(bool(group.suppressed_by)),
        suppressed_by=group.suppressed_by,
        acknowledged_by=group.acknowledged_by,
        exemplars=group.exemplars,
        incomplete=int(group.is_incomplete),
        complete_since_us=complete_since_us,
        reason=group.reason,
        notified_us=group.notified_us,
        input_offset=input_offset,
        updated_us=now_us,
        row_version=group.row_version,
    )


def state_of_row(row: AlertStateRow) -> GroupState:
    """Return the state of a row."""
    return GroupState(
        state=row.state,
        since_us=row.since_us,
        started_us=row.started_us,
        decided_us=row.window_end_us if row.sequence else 0,
        episode_id=row.episode_id,
        sequence=row.sequence,
        value=row.value,
        window_us=(row.window_start_us, row.window_end_us),
        exemplars=row.exemplars,
        is_incomplete=bool(row.incomplete),
        is_announced=bool(row.notified_us),
        notified_us=row.notified_us,
        suppressed_by=row.suppressed_by,
        acknowledged_by=row.acknowledged_by,
        reason=row.reason,
        row_version=row.row_version,
    )


def restore_change(group: GroupState, alert: Alert, change: RuleChange) -> None:
    """Change a state to that of an alert that was written after it."""
    group.state = "resolved" if alert.event == "alert.resolved" else alert.state
    group.episode_id = alert.episode
    group.sequence = change.sequence
    group.since_us = group.started_us = change.window_end_us
    group.decided_us = max(group.decided_us, change.window_end_us)
    group.window_us = (change.window_start_us, change.window_end_us)
    group.value = alert.value
    group.exemplars = change.exemplars
    group.is_incomplete = change.incomplete
    group.reason = change.reason
    group.is_announced = change.delivered and alert.event != "alert.resolved"
    group.notified_us = alert.created_us if change.delivered else group.notified_us
    group.suppressed_by = change.not_delivered_reason


def reason_of(
    record: AlertRule,
    event: Event,
    value: Decimal | None,
    *,
    of_row: bool = False,
    is_lower_bound: bool = False,
) -> str:
    """Return why a state was entered, in plain words; ``of_row``: it is about a single row."""
    window = duration_text(record.window_s)
    if record.calendar:
        window = f"the current {record.calendar}"
    elif of_row or record.metric == SILENCE:
        window = ""
    sentence = condition_sentence(
        record.metric,
        None if event == "alert.no_data" else value,
        record.comparison,
        record.threshold_value,
        unit=compared_as(record) or METRICS[record.metric].unit,
        window=window,
        is_ended=event == "alert.resolved",
        is_lower_bound=is_lower_bound,
    )
    return str(sentence)
