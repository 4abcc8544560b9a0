"""Write to the new log which messages channels have received, so that they are not repeated.

The store has the messages (``delivery_log``), but not their groups. A message has the id that its
group and first alert determine, so the group is found again by that id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from clickhouse.alert_rows import alert_of_row
from clickhouse.rows import AlertRow
from clickhouse.store import Store
from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route
from producers.control.record import ControlRecord
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from streams.core.jobs.state import JobState
from streams.core.notifications.groups import GroupKey, Seal, SealedState, batch_id_of
from streams.core.notifications.selection import groups_of
from streams.jobs.kinds.channel_delivery import ChannelDeliveries

_SQL: Final = """
SELECT delivery_id, groupUniqArrayArray(alert_ids) AS alerts,
    toUnixTimestamp64Micro(min(attempted_time)) AS sent_us
FROM delivery_log FINAL
WHERE target_kind = 'channel'
GROUP BY project_id, delivery_id
HAVING argMax(status, row_version) IN ('delivered', 'exhausted', 'dropped')
ORDER BY sent_us, delivery_id
"""


class EndedMessage(msgspec.Struct, frozen=True):
    """A message that a channel has received, or will not receive."""

    delivery_id: str
    alerts: list[str]
    sent_us: int


_messages: Final = msgspec.json.Decoder(EndedMessage, strict=False)


async def read_messages(store: Store) -> list[EndedMessage]:
    """Return the messages that ended. Raises like ``Store.query``."""
    return list(_messages.decode_lines(await store.query_bytes(_SQL)))


def ended_messages(
    messages: Iterable[EndedMessage], alerts: Iterable[AlertRow], records: Iterable[ControlRecord]
) -> Iterator[tuple[str, SealedState]]:
    """Yield the ids and states of the messages whose group is known.

    Args:
        messages: the messages.
        alerts: all alerts, oldest first.
        records: the current control records.
    """
    keys = _keys([alert_of_row(each) for each in alerts], list(records))
    for each in messages:
        found = keys.get(each.delivery_id)
        if found is None:  # a repetition, or the route was deleted
            continue
        key, first_id = found
        seal = Seal(
            batch_id=each.delivery_id,
            channel_id=key.channel_id,
            source=key.source,
            labels=key.labels,
            alert_ids=tuple(dict.fromkeys((first_id, *sorted(each.alerts)))),
            sent_us=each.sent_us,
        )
        state = JobState(
            status="done",
            attempts=1,
            updated_us=each.sent_us,
            detail="from before the log was restored",
        )
        yield each.delivery_id, SealedState(state=state, seal=seal)


def _keys(alerts: list[Alert], records: list[ControlRecord]) -> dict[str, tuple[GroupKey, str]]:
    """Return the groups of alerts by the ids of the messages that begin with one of them."""
    channels: defaultdict[str, list[Channel]] = defaultdict(list)
    routes: defaultdict[str, list[Route]] = defaultdict(list)
    for record in records:
        if isinstance(record, Channel):
            channels[record.project_id].append(record)
        elif isinstance(record, Route):
            routes[record.project_id].append(record)
    fired_us: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    found: dict[str, tuple[GroupKey, str]] = {}
    for alert in alerts:
        project_id = alert.project_id
        times_us = fired_us[project_id, alert.rule_id, alert.episode]
        for key, _ in groups_of(
            alert, channels[project_id], routes[project_id], fired_us=tuple(times_us)
        ):
            found[batch_id_of(key, alert.id)] = key, alert.id
        times_us.append(alert.created_us)
    return found


async def restore_messages(
    producer: AIOKafkaProducer, topics: Topics, states: Iterable[tuple[str, SealedState]]
) -> int:
    """Write the states of messages; return their number.

    Raises:
        KafkaError: the broker refused a record; call this again.
    """
    count = 0
    for batch_id, state in states:
        await producer.send_and_wait(
            ChannelDeliveries.states(topics),
            msgspec.json.encode(state),
            key=ChannelDeliveries.state_key(batch_id).encode(),
            partition=0,
        )
        count += 1
    return count
