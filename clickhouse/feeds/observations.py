"""Define the feed of observations, which the observations stage merges and prices."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import ObservationRow
from producers.kafka.topics import Partitions, Topic

FEED: Final = Feed(
    table="observations",
    row=ObservationRow,
    topic=Topic("observations", Partitions.BY_TRACE),
    is_by_day=True,
    is_state=True,
    has_canaries=True,
)
