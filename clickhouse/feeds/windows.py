"""Define the feed of windows of ten seconds, which the rollups stage writes."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed, Flush
from clickhouse.rows import WindowRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="windows",
    row=WindowRow,
    topic=Topic("windows", Partitions.BY_PROJECT),
    flush=Flush.ROLLUP,
    is_state=True,
    has_canaries=True,
)
