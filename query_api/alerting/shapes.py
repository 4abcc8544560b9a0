"""Define the shapes of current alerts and of episodes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import msgspec

from clickhouse.rows import AlertStateRow
from producers.alerting.annotations import compared_as, rendered, values_of
from producers.alerting.metrics.silence import SILENCE
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.rule_change import amount_of, unit_of
from query_api.times import SECOND_US, iso, iso_or_none

_EVENTS: Final = {
    "firing": "alert.firing",
    "recovering": "alert.firing",
    "resolved": "alert.resolved",
    "no_data": "alert.no_data",
}
"""The event of the last alert by state."""


class AlertStateOut(msgspec.Struct, kw_only=True):
    """The current state of a group of an alert rule.

    It has all members of an alert of a rule, and more about the present.
    """

    id: str | None
    """That of the episode."""
    type: str | None
    """The event of its last alert; null if it has none, such as while it is pending."""
    episode_id: str | None
    """Id of the current or last episode."""
    rule_id: str
    rule_name: str
    rule_version: int
    state: str
    """`inactive`, `pending`, `firing`, `recovering`, `resolved`, `no_data` or `error`."""
    severity: str
    labels: dict[str, str]
    group: dict[str, str]
    metric: str | None
    comparison: str | None
    value: float | str | None
    """A decimal string for US dollars, otherwise a number; null without data. While `silence` is
    firing, the time until now."""
    threshold: float | str | None
    unit: str | None
    """`s`, `ratio` (from 0 to 1), `USD`, `count`, …; `times` or `deviations` if the rule compares
    with earlier values."""
    window_start: str | None
    window_end: str | None
    since: str
    """Time of the last change of the state."""
    started_at: str | None
    """Start of the episode."""
    exemplars: list[str]
    """Ids of the last traces that contributed to the value."""
    exemplar_urls: list[str]
    silenced: bool
    """Whether alerts of the group are recorded, but not delivered."""
    suppressed_by: str | None
    """What suppresses deliveries: a silence, another rule, or `shadow`."""
    acknowledged_by: str | None
    incomplete: bool
    """Whether data of the window may be missing, such as after a restart."""
    annotations: dict[str, str]
    delivered: bool
    """Whether alerts of the group are delivered."""
    not_delivered_reason: str | None
    """The same as `suppressed_by`."""
    test: bool
    created_at: str
    """The same as `since`."""
    complete_since: str | None
    reason: str
    updated_at: str


class AcknowledgementOut(msgspec.Struct, kw_only=True):
    episode_id: str
    rule_id: str
    author: str
    note: str
    created_at: str


class EpisodeOut(msgspec.Struct, kw_only=True):
    """An episode: its state, its acknowledgement, and its alerts, oldest first."""

    episode_id: str
    rule_id: str
    rule_name: str
    state: str
    """That of the group, or of the last alert if the group has a newer episode."""
    current: AlertStateOut | None
    """Null if the group has a newer episode."""
    acknowledgement: AcknowledgementOut | None
    exemplars: list[str]
    exemplar_urls: list[str]
    history: list[Any]
    """Alerts as `GET /v1/alerts` lists them."""
    truncated: bool
    """Whether there are more alerts than `history` has."""


def shown_state(row: AlertStateRow, rule: AlertRule | None, now_us: int) -> AlertStateOut:
    """Return the shape of a state; ``rule`` is None if it was deleted."""
    metric = "" if rule is None else rule.metric
    value, window_end_us = row.value, row.window_end_us
    if metric == SILENCE and row.state == "firing" and row.window_start_us:
        # It is not evaluated again until something arrives, and then it is resolved.
        window_end_us = max(now_us, row.window_end_us)
        value = Decimal(window_end_us - row.window_start_us) / SECOND_US
    return AlertStateOut(
        id=row.episode_id or None,
        type=_EVENTS.get(row.state),
        episode_id=row.episode_id or None,
        rule_id=row.rule_id,
        rule_name="" if rule is None else rule.name,
        rule_version=row.rule_version,
        state=row.state,
        severity=row.severity,
        labels=row.labels,
        group=_group(row.group),
        metric=metric or None,
        comparison=None if rule is None else rule.comparison,
        value=amount_of(metric, value),
        threshold=amount_of(metric, row.threshold),
        unit=None if rule is None else unit_of(metric, compared_as(rule)),
        window_start=iso_or_none(row.window_start_us),
        window_end=iso_or_none(window_end_us),
        since=iso(row.since_us),
        # The end of a pane identifies an episode, and can be later than its begin.
        started_at=iso_or_none(min(row.started_us, row.since_us)),
        exemplars=list(row.exemplars),
        exemplar_urls=urls_of(row.exemplars),
        silenced=bool(row.silenced),
        suppressed_by=row.suppressed_by or None,
        acknowledged_by=row.acknowledged_by or None,
        incomplete=bool(row.incomplete),
        annotations={} if rule is None else _annotations(row, rule, value, window_end_us),
        delivered=not row.silenced,
        not_delivered_reason=row.suppressed_by or None,
        test=False,
        created_at=iso(row.since_us),
        complete_since=iso_or_none(row.complete_since_us),
        reason=row.reason,
        updated_at=iso(row.updated_us),
    )


def _annotations(
    row: AlertStateRow, rule: AlertRule, value: Decimal | None, window_end_us: int
) -> dict[str, str]:
    """Return the annotations of the rule with the present values."""
    values = values_of(
        rule,
        state=row.state,
        value=value,
        group=_group(row.group),
        window_us=(row.window_start_us, window_end_us),
        exemplars=row.exemplars,
        reason=row.reason,
    )
    return rendered(rule, values)


def _group(text: str) -> dict[str, str]:
    """Return the values of a group; none for a rule that cannot be evaluated, which has no text."""
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}


def shown_acknowledgement(record: Acknowledgement) -> AcknowledgementOut:
    """Return the shape of an acknowledgement."""
    return AcknowledgementOut(
        episode_id=record.episode_id,
        rule_id=record.rule_id,
        author=record.author,
        note=record.note,
        created_at=iso(record.created_us),
    )


def urls_of(trace_ids: Any) -> list[str]:
    """Return the paths at which the API shows traces."""
    return [f"/v1/traces/{quote(each, safe='')}/tree" for each in trace_ids]
