"""Define the feed of the states of alert rules, which the alerting stage writes."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import AlertStateRow
from producers.kafka.topics import Cleanup, Partitions, Topic

FEED: Final = Feed(
    table="alert_states",
    row=AlertStateRow,
    topic=Topic("alert-states", Partitions.BY_PROJECT, Cleanup.COMPACT),
)
