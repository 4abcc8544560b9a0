"""Define the feed of spend per 15 minutes, from stage 3."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed, Flush
from clickhouse.rows import SpendRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="spend",
    row=SpendRow,
    topic=Topic("spend", Partitions.BY_PROJECT),
    flush=Flush.ROLLUP,
    is_state=True,
)
