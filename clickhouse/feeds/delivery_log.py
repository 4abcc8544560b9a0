"""Define the feed of attempts to deliver alerts."""

from __future__ import annotations

from typing import Final

from clickhouse.delivery_rows import DeliveryAttemptRow
from clickhouse.feed import Feed
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="delivery_log",
    row=DeliveryAttemptRow,
    topic=Topic("delivery-log", Partitions.ONE),
)
