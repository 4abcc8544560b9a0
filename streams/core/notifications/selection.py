"""Select the groups of channels that an alert belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route
from producers.notifications.alert import Alert
from streams.core.notifications.groups import GroupKey, Timing

EVENTS = "events"
"""Source of the alerts that a channel receives without a route."""
_SECOND_US = 1_000_000


def labels_of(alert: Alert) -> dict[str, str]:
    """Return the labels by which routes select and group alerts."""
    return {
        **alert.labels,
        "event": alert.event,
        "severity": alert.severity,
        "rule_id": alert.rule_id,
        "rule_name": alert.name,
        "rule_kind": alert.rule_kind,
        "episode_id": alert.episode,
    }


def groups_of(
    alert: Alert,
    channels: Iterable[Channel],
    routes: Iterable[Route],
    *,
    is_named_only: bool = False,
) -> Iterator[tuple[GroupKey, Timing]]:
    """Yield the groups of an alert: one per matching channel and route that existed before it.

    With ``is_named_only``, a route without a list of events does not match.
    """
    labels = labels_of(alert)
    enabled = {
        each.id: each
        for each in channels
        if not each.disabled and each.created_us <= alert.created_us
    }
    for channel in enabled.values():
        if alert.event in channel.events:
            episode = (("episode_id", alert.episode), ("rule_id", alert.rule_id))
            yield GroupKey(channel.id, EVENTS, episode), Timing(is_single=True)
    for route in routes:
        if route.created_us > alert.created_us or not route.matches(labels):
            continue
        if is_named_only and not route.events:
            continue
        group = tuple((name, labels.get(name, "")) for name in sorted(route.group_by))
        timing = Timing(
            wait_us=int(route.group_wait_s * _SECOND_US),
            interval_us=int(route.group_interval_s * _SECOND_US),
            repeat_us=int(route.repeat_interval_s * _SECOND_US),
        )
        for channel_id in dict.fromkeys(route.channel_ids):
            if channel_id in enabled:
                yield GroupKey(channel_id, route.id, group), timing
