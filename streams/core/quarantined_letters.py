"""Dead letters of what was quarantined: one for each event, so that none shows one tenant another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

import msgspec

from clickhouse.rows import DeadLetterRow
from streams.core.quarantined import REASON

PROJECT_ID_MAX_CHARS: Final = 200
_ESCAPED_MAX: Final = 6
"""Bytes that one byte may take as JSON."""


class _Event(msgspec.Struct):
    project_id: str = ""


class _Delta(msgspec.Struct, array_like=True):
    project_id: str = ""


def owner_of_event(payload: bytes) -> str:
    """The project of a line of ``events``; empty where it is not told."""
    return _owner(payload, _Event)


def owner_of_delta(payload: bytes) -> str:
    """The project of a line of ``deltas``; empty where it is not told."""
    return _owner(payload, _Delta)


def _owner(payload: bytes, line: type[_Event | _Delta]) -> str:
    try:
        project_id = msgspec.json.decode(payload, type=line).project_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return project_id if len(project_id) <= PROJECT_ID_MAX_CHARS else ""


def letters_of(
    lines: Iterable[tuple[int, bytes]],
    owner_of: Callable[[bytes], str],
    *,
    stage: str,
    topic: str,
    partition: int,
    offset: int,
    created_us: int,
    detail: str,
    payload_bytes_max: int,
    reason: str = REASON,
) -> list[DeadLetterRow]:
    """A dead letter for each numbered line; its id is the place of the line, so none is doubled."""
    rows = []
    for number, line in lines:
        payload = line.decode(errors="replace")
        kept = _first(payload, len(line), payload_bytes_max)
        cut = f" (the payload is cut: the first {len(kept)} of {len(payload)} characters)"
        # With its time: a new log counts its offsets from 0 again.
        place = f"{topic}/{partition}/{offset}/{created_us}/{reason}/{number}"
        rows.append(
            DeadLetterRow(
                project_id=owner_of(line),
                id=sha256(place.encode()).hexdigest()[:32],
                created_us=created_us,
                stage=stage,
                reason=reason,
                detail=detail if kept == payload else detail + cut,
                source_topic=topic,
                source_partition=partition,
                source_offset=offset,
                payload=kept,
            )
        )
    return rows


def _first(text: str, size_bytes: int, bytes_max: int) -> str:
    """As much of a text as takes ``bytes_max`` bytes as JSON, or a little less."""
    if size_bytes * _ESCAPED_MAX <= bytes_max:
        return text
    while (escaped := len(msgspec.json.encode(text))) > bytes_max:
        text = text[: min(len(text) * bytes_max // escaped, len(text) - 1)]
    return text
