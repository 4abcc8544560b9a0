"""Define the feed of traces with the totals of their observations, from stage 1."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import TraceRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="traces",
    row=TraceRow,
    topic=Topic("traces", Partitions.BY_TRACE),
    is_by_day=True,
    is_state=True,
)
