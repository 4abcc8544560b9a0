"""Write dead letters for rows that the store cannot accept, whatever they contain."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from clickhouse.rows import DeadLetterRow
from clickhouse.sink import metrics
from clickhouse.sink.batches import Source
from clickhouse.sink.refusals import UNREADABLE, Refused
from producers.settings import KafkaSettings
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

DETAIL_MAX_CHARS: Final = 2_000
PROJECT_ID_MAX_CHARS: Final = 200
RECORD_OVERHEAD_BYTES: Final = 1_024
"""Upper bound of a record's size in addition to its value."""
CUT_STEP_CHARS: Final = 1_000
TABLE: Final = "dead_letters"
SENT_AT_A_TIME: Final = 100


class DeadLetters:
    """The writer of dead letters for refused rows."""

    def __init__(self, producer: AIOKafkaProducer, kafka: KafkaSettings) -> None:
        self._producer = producer
        self._topic = kafka.topics.dead_letters
        self._record_max_bytes = kafka.record_max_bytes

    async def send(self, table: str, refused: Iterable[tuple[Refused, Source]]) -> None:
        """Write a dead letter for each refused row; return when all are acknowledged.

        Raises:
            KafkaError: the broker does not respond.
        """
        waiting: list[tuple[Refused, Source]] = []
        for row in refused:
            waiting.append(row)
            if len(waiting) >= SENT_AT_A_TIME:
                await self._send(table, waiting)
                waiting = []
        await self._send(table, waiting)

    async def _send(self, table: str, rows: list[tuple[Refused, Source]]) -> None:
        acks = []
        for refused, source in rows:
            if table == TABLE and _is_minimal(refused.line):
                # The store rejects even a dead letter without payload; it remains in the topic.
                metrics.DEAD_LETTERS_DROPPED.inc()
                log.error("dead_letter_refused", offset=source.offset, reason=refused.reason[:300])
                continue
            try:
                value = self._value(table, refused, source)
                ack = await self._producer.send(self._topic, value, partition=0)
            except MessageSizeTooLargeError:
                value = minimal_dead_letter(table, refused, source)
                ack = await self._producer.send(self._topic, value, partition=0)
            acks.append((ack, refused, source))
        for ack, refused, source in acks:
            try:
                await ack
            except MessageSizeTooLargeError:
                # The topic's limit is lower than the one in the settings.
                value = minimal_dead_letter(table, refused, source)
                await self._producer.send_and_wait(self._topic, value, partition=0)

    def _value(self, table: str, refused: Refused, source: Source) -> bytes:
        # The payload is left out if it may contain secrets of the control plane, or if it may be
        # the reason why a dead letter was refused.
        if refused.code != UNREADABLE and table != TABLE:
            try:
                return dead_letter(table, refused, source, self._record_max_bytes)
            except Exception as error:  # noqa: BLE001  # leave the payload out
                log.warning("dead_letter_without_payload", error=repr(error)[:300])
        return minimal_dead_letter(table, refused, source)


def dead_letter(table: str, refused: Refused, source: Source, record_max_bytes: int) -> bytes:
    """Return the row of ``dead_letters`` for a refused row, as a line that fits into a record.

    The refused row is escaped as a JSON string, which makes it longer. If it exceeds the topic's
    limit, the payload is cut, and the detail starts with a note. The id depends only on the row and
    the time only on its record, so that a row that is refused again results in the same line.
    """
    payload = refused.line.decode("utf-8", "replace")
    row = _row(table, refused, source, payload)
    line = msgspec.json.encode(row)
    limit_bytes = record_max_bytes - RECORD_OVERHEAD_BYTES
    if len(line) <= limit_bytes:
        return line
    metrics.LIMIT_REACHED.labels("record_max_bytes").inc()
    kept = payload
    while len(line) > limit_bytes:
        kept = kept[: max(0, len(kept) * limit_bytes // len(line) - CUT_STEP_CHARS)]
        note = f"payload cut to {len(kept)} of {len(payload)} characters (record_max_bytes); "
        cut = msgspec.structs.replace(row, payload=kept, detail=note + row.detail)
        line = msgspec.json.encode(cut)
    return line


def minimal_dead_letter(table: str, refused: Refused, source: Source) -> bytes:
    """Return a dead letter without payload, if the payload cannot be written."""
    digest = sha256(refused.line).hexdigest()
    note = f"payload of {len(refused.line)} bytes left out, sha256 {digest}; "
    row = _row(table, refused, source, "")
    detail = (note + row.detail).encode("ascii", "replace").decode()
    return msgspec.json.encode(msgspec.structs.replace(row, detail=detail))


def _row(table: str, refused: Refused, source: Source, payload: str) -> DeadLetterRow:
    return DeadLetterRow(
        project_id=_project_of(refused.line),
        id=sha256(table.encode() + b"/" + refused.line).hexdigest()[:32],
        created_us=source.timestamp_ms * 1000 if source.timestamp_ms > 0 else now_us(),
        stage="sink",
        reason=refused.code,
        detail=_cut(refused.reason.encode("utf-8", "replace").decode(), DETAIL_MAX_CHARS),
        source_topic=source.partition.topic,
        source_partition=source.partition.partition,
        source_offset=source.offset,
        payload=payload,
    )


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def _project_of(line: bytes) -> str:
    """Return the row's project; empty if the line cannot be decoded."""
    try:
        fields = msgspec.json.decode(line)
        project = fields.get("project_id", "") if isinstance(fields, dict) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return project if isinstance(project, str) and len(project) <= PROJECT_ID_MAX_CHARS else ""


def _is_minimal(line: bytes) -> bool:
    """Return whether a refused row of ``dead_letters`` is one of the sink without payload."""
    try:
        row = msgspec.json.decode(line, type=DeadLetterRow)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return row.stage == "sink" and not row.payload
