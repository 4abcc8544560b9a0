"""Defines a feed: a ClickHouse table that the sink fills from a topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import msgspec
from aiokafka.structs import ConsumerRecord

from producers.control.secret_box import SecretBox
from producers.kafka.topics import Topic, Topics

RowOf = Callable[[ConsumerRecord, SecretBox | None], bytes]
"""Converts a record to a row, as one line of JSON; the box encrypts secrets."""


class Flush(Enum):
    """Which setting of the sink limits the age of buffered rows while traffic is light."""

    SOON = "flush_interval_s"
    ROLLUP = "rollup_flush_interval_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A table, its rows, and the topic that carries them."""

    table: str
    row: type[msgspec.Struct]
    """Its fields are the columns that the sink inserts."""
    topic: Topic
    flush: Flush = Flush.SOON
    is_by_day: bool = False
    """Whether the table is partitioned by the day of ``start_us``: rows of old days then have
    batches of their own."""
    is_state: bool = False
    """Whether the streams read the topic back at their start."""
    has_canaries: bool = False
    """Whether each canary in the streams' input produces a record in the topic, so that readiness
    expects the topic to advance."""
    row_of: RowOf | None = None
    """Converts records that are not rows; values are NDJSON rows if it is None."""

    def topic_in(self, topics: Topics) -> str:
        """Return the full name of the topic."""
        return topics.of(self.topic)
