"""Spend of a quarter of an hour, from stage 3."""

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
