"""What the gateway refused but must not lose: one line of the dead-letter topic each.

The fields are those of the table ``dead_letters``; this room cannot see the store's rooms, a test keeps the two alike.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from producers import metrics

STAGE: Final = "gateway"
DETAIL_MAX_CHARS: Final = 2_000
CUT_MARK: Final = "… [cut by tracemill]"
_CUT_STEP: Final = 0.9


class DeadLetter(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Input that was taken but could not be processed."""

    project_id: str
    id: str
    created_us: int
    stage: str
    reason: str
    """Short machine-readable code."""
    detail: str = ""
    source_topic: str = ""
    source_partition: int = -1
    source_offset: int = -1
    payload: str = ""
    row_version: int = 1


_encoder = msgspec.json.Encoder()


def dead_letter(
    project_id: str, *, reason: str, detail: str, payload: bytes, created_us: int, max_bytes: int
) -> DeadLetter:
    """A dead letter of the gateway. Its id comes from its content: what an SDK sends again is the same letter.

    ``created_us`` is part of the store's key by its day only. What does not fit into a line of ``max_bytes`` is cut off the payload; the detail says so.
    """
    content = b"\0".join((project_id.encode(), reason.encode(), payload))
    if len(detail) > DETAIL_MAX_CHARS:
        detail = detail[:DETAIL_MAX_CHARS] + CUT_MARK
    letter = DeadLetter(
        project_id=project_id,
        id=hashlib.sha256(content).hexdigest()[:32],
        created_us=created_us,
        stage=STAGE,
        reason=reason,
        detail=detail,
        payload=payload.decode(errors="replace"),
        row_version=created_us,
    )
    return letter if len(encode_dead_letter(letter)) <= max_bytes else _cut(letter, max_bytes)


def _cut(letter: DeadLetter, max_bytes: int) -> DeadLetter:
    """The letter with as much of its payload as fits. What escaping adds differs from place to place, so the length is approached."""
    metrics.LIMIT_REACHED.labels(limit="dead_letter_max_bytes").inc()
    whole, detail = letter.payload, letter.detail
    while letter.payload and (size := len(encode_dead_letter(letter))) > max_bytes:
        kept = int(len(letter.payload) * min(max_bytes / size, _CUT_STEP))
        letter.payload = whole[:kept]
        letter.detail = f"{detail} [payload cut by tracemill: {kept} of {len(whole)} characters]"
    return letter


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """One line of JSON, without the newline."""
    return _encoder.encode(letter)
