"""Select the groups of channels that an alert belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route, RouteConditions
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
    fired_us: Collection[int] = (),
    is_named_only: bool = False,
) -> Iterator[tuple[GroupKey, Timing]]:
    """Yield the groups of an alert: one per matching channel and route that existed before it.

    Args:
        alert: the alert.
        channels: the channels of its project.
        routes: the routes of its project.
        fired_us: if the alert is the end of an episode, the times of the earlier alerts of the
            episode. The end is also sent to the groups that received these alerts.
        is_named_only: a route without a list of events does not match.
    """
    labels = labels_of(alert)
    enabled = {
        each.id: each
        for each in channels
        if not each.disabled and each.receives_from_us <= alert.created_us
    }
    for channel in enabled.values():
        if alert.event in channel.events:
            episode = (("episode_id", alert.episode), ("rule_id", alert.rule_id))
            yield GroupKey(channel.id, EVENTS, episode), Timing(is_single=True)
    for route in routes:
        timing = Timing(
            wait_us=int(route.group_wait_s * _SECOND_US),
            interval_us=int(route.group_interval_s * _SECOND_US),
            repeat_us=int(route.repeat_interval_s * _SECOND_US),
        )
        for conditions in _conditions(route, (alert.created_us, *fired_us)):
            if is_named_only and not conditions.events:
                continue
            for key in _keys(route.id, conditions, labels):
                if key.channel_id in enabled:
                    yield key, timing


def is_selected(alert: Alert, key: GroupKey, route: Route) -> bool:
    """Return whether the current conditions of a route select an alert for a group."""
    return key in _keys(route.id, route, labels_of(alert))


def _conditions(route: Route, times_us: Iterable[int]) -> Iterator[RouteConditions]:
    """Yield the different conditions that a route had at some times."""
    found = [route.conditions_at(at_us) for at_us in times_us]
    for index, each in enumerate(found):
        if each is not None and all(each is not other for other in found[:index]):
            yield each


def _keys(
    route_id: str, conditions: RouteConditions, labels: Mapping[str, str]
) -> Iterator[GroupKey]:
    """Yield the groups of an alert if it meets the conditions."""
    if conditions.matches(labels):
        group = tuple((name, labels.get(name, "")) for name in sorted(conditions.group_by))
        for channel_id in dict.fromkeys(conditions.channel_ids):
            yield GroupKey(channel_id, route_id, group)
