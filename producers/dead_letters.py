"""Encodes input that the gateway rejected as lines of the dead-letter topic.

The fields are those of the table ``dead_letters``. This package may not import the store's, so a
test compares the two.
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
    """Input that was accepted but could not be processed."""

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
    """Return a dead letter of the gateway, with an id derived from its content.

    Input that an SDK sends again gets the same id. ``created_us`` is part of the store's key by its
    day only. A payload that does not fit a line of ``max_bytes`` is cut, and ``detail`` notes it.
    """
    content = b"\0".join((project_id.encode(), reason.encode(), payload))
    if len(detail) > DETAIL_MAX_CHARS:
        detail = detail[:DETAIL_MAX_CHARS] + CUT_MARK
    rejected = DeadLetter(
        project_id=project_id,
        id=hashlib.sha256(content).hexdigest()[:32],
        created_us=created_us,
        stage=STAGE,
        reason=reason,
        detail=detail,
        payload=payload.decode(errors="replace"),
        row_version=created_us,
    )
    return rejected if len(encode_dead_letter(rejected)) <= max_bytes else _cut(rejected, max_bytes)


def _cut(rejected: DeadLetter, max_bytes: int) -> DeadLetter:
    """Cut the payload until its line fits ``max_bytes``.

    The length is approached step by step, since escaping adds a different amount to each part.
    """
    metrics.LIMIT_REACHED.labels(limit="dead_letter_max_bytes").inc()
    whole, detail = rejected.payload, rejected.detail
    while rejected.payload and (size := len(encode_dead_letter(rejected))) > max_bytes:
        kept = int(len(rejected.payload) * min(max_bytes / size, _CUT_STEP))
        rejected.payload = whole[:kept]
        rejected.detail = f"{detail} [payload cut by tracemill: {kept} of {len(whole)} characters]"
    return rejected


def encode_dead_letter(rejected: DeadLetter) -> bytes:
    """Encode as one line of JSON, without the newline."""
    return _encoder.encode(rejected)
