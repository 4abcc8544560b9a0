"""Define the feed of dead letters, from every stage and the gateway."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import DeadLetterRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="dead_letters",
    row=DeadLetterRow,
    topic=Topic("dead-letters", Partitions.ONE),
)
