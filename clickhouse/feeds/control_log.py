"""Define the feed of the control-plane log, without secrets."""

from __future__ import annotations

from typing import Final

from clickhouse.feed import Feed
from clickhouse.rows import ControlLogRow
from clickhouse.sink.control_log import control_row, project_of_control_row
from producers.kafka.topics import CONTROL

FEED: Final = Feed(
    table="control_log",
    row=ControlLogRow,
    topic=CONTROL,
    row_of=control_row,
    project_sql="JSONExtractString(record, 'record', 'project_id')",
    project_of=project_of_control_row,
)
