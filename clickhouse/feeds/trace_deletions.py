"""Define the feed of deleted traces, from stage 1."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.kafka.topics import Cleanup, Partitions, Topic

FEED: Final = Feed(
    table="trace_deletions",
    row=TraceDeletionRow,
    topic=Topic("trace-deletions", Partitions.ONE, Cleanup.RETAIN),
    is_state=True,
)
