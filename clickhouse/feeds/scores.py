"""Define the feed of scores, from stage 1."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import ScoreRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="scores",
    row=ScoreRow,
    topic=Topic("scores", Partitions.BY_TRACE),
)
