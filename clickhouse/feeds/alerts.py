"""Define the feed of alerts, which the rollups stage writes."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import AlertRow
from producers.kafka.topics import Cleanup, Partitions, Topic

FEED: Final = Feed(
    table="alerts",
    row=AlertRow,
    topic=Topic("alerts", Partitions.ONE, Cleanup.COMPACT),
)
