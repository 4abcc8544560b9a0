"""Dead letters of rows that the store refused."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Final

import msgspec

from clickhouse.rows import DeadLetterRow
from clickhouse.sink import metrics
from clickhouse.sink.batches import Source
from clickhouse.sink.refusals import Refused

DETAIL_MAX_CHARS: Final = 2_000
RECORD_OVERHEAD_BYTES: Final = 1_024
"""What a record is larger than its value, generously."""
CUT_STEP_CHARS: Final = 1_000


def dead_letter(table: str, refused: Refused, source: Source, record_max_bytes: int) -> bytes:
    """The row of ``dead_letters`` that tells of ``refused``, as a line that fits into a record.

    Quoting a row of JSON as a string of JSON makes it longer. Where it becomes too long for the topic, the payload is cut at its end and the detail begins with saying so. The
    id comes from the row, and the time from its record: what is refused again after a crash is the same letter.
    """
    payload = refused.line.decode("utf-8", "replace")
    row = DeadLetterRow(
        project_id=_project_of(refused.line),
        id=sha256(table.encode() + b"/" + refused.line).hexdigest()[:32],
        created_us=source.timestamp_ms * 1000
        if source.timestamp_ms > 0
        else time.time_ns() // 1000,
        stage="sink",
        reason="refused_by_store",
        detail=_cut(refused.reason, DETAIL_MAX_CHARS),
        source_topic=source.partition.topic,
        source_partition=source.partition.partition,
        source_offset=source.offset,
        payload=payload,
    )
    line = msgspec.json.encode(row)
    limit_bytes = record_max_bytes - RECORD_OVERHEAD_BYTES
    if len(line) <= limit_bytes:
        return line
    metrics.LIMIT_REACHED.labels("record_max_bytes").inc()
    kept = payload
    while len(line) > limit_bytes:
        kept = kept[: max(0, len(kept) * limit_bytes // len(line) - CUT_STEP_CHARS)]
        mark = f"payload cut to {len(kept)} of {len(payload)} characters (record_max_bytes); "
        cut = msgspec.structs.replace(row, payload=kept, detail=mark + row.detail)
        line = msgspec.json.encode(cut)
    return line


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _project_of(line: bytes) -> str:
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return ""
    return str(fields.get("project_id", "")) if isinstance(fields, dict) else ""
