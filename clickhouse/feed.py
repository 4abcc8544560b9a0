"""Define a feed: a ClickHouse table that the sink fills from a topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord

from producers.control.secret_box import SecretBox
from producers.kafka.topics import Topic, Topics

PROJECT_COLUMN: Final = "project_id"

RowOf = Callable[[ConsumerRecord, SecretBox | None], bytes]
"""Convert a record to rows, one line of JSON each; the box encrypts secrets."""


ProjectOf = Callable[[bytes], bytes]
"""Return the project of a row, which is one line of JSON; empty if it belongs to none."""

ROW_PREFIX: Final = b'{"project_id":"'
"""The beginning of rows that the streams write."""


class _Owned(msgspec.Struct):
    project_id: str = ""


def project_of_row(line: bytes) -> bytes:
    """Return the ``project_id`` of a row."""
    if line.startswith(ROW_PREFIX):
        project_id = line[len(ROW_PREFIX) : line.find(b'"', len(ROW_PREFIX))]
        if b"\\" not in project_id:
            return project_id
    try:
        return msgspec.json.decode(line, type=_Owned).project_id.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""


class Flush(Enum):
    """The names of the settings that limit the age of buffered rows."""

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
    """Whether the table is partitioned by the day of ``start_us``. Rows of old days are then
    inserted separately."""
    is_state: bool = False
    """Whether the streams restore their state from the topic."""
    has_canaries: bool = False
    """Whether each canary in the streams' input produces a record in the topic. Readiness then
    expects the topic to grow."""
    row_of: RowOf | None = None
    """Converts a record to rows; None: values are rows as NDJSON."""
    project_sql: str = PROJECT_COLUMN
    """SQL expression of a row's project, by which the rows of a deleted project are deleted; empty:
    rows belong to no project."""
    project_of: ProjectOf = project_of_row
    """Returns the project of a row; it must agree with ``project_sql``."""

    def __post_init__(self) -> None:
        """Check that the rows of a project can be found.

        Raises:
            ValueError: rows have no ``project_id``, and ``project_sql`` is not declared.
        """
        has_column = PROJECT_COLUMN in self.row.__struct_fields__
        if self.project_sql == PROJECT_COLUMN and not has_column:
            raise ValueError(f"{self.table}: rows have no {PROJECT_COLUMN}, so define project_sql")

    def topic_in(self, topics: Topics) -> str:
        """Return the full name of the topic."""
        return topics.of(self.topic)
