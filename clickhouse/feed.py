"""Define a feed: a ClickHouse table that the sink fills from a topic."""

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
    """The setting that limits the age of buffered rows."""

    SOON = "flush_interval_s"
    ROLLUP = "rollup_flush_interval_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A table, the struct of its rows, and the topic that contains them."""

    table: str
    row: type[msgspec.Struct]
    """Struct of a row; its fields are the columns that the sink inserts."""
    topic: Topic
    flush: Flush = Flush.SOON
    is_by_day: bool = False
    """Whether the table is partitioned by the day of ``start_us``; rows of old days are then
    inserted in separate batches."""
    is_state: bool = False
    """Whether the streams restore their state from the topic."""
    has_canaries: bool = False
    """Whether each canary in the streams' input produces a record in the topic, so that readiness
    expects the topic to advance."""
    row_of: RowOf | None = None
    """Converts a record's value to a row; None: values are rows as NDJSON."""

    def topic_in(self, topics: Topics) -> str:
        """Return the full name of the topic."""
        return topics.of(self.topic)
