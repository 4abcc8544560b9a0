"""Encode rejected input of the gateway as lines of the dead-letter topic.

The fields are those of the table ``dead_letters``. A test compares both, because this package must
not import the package of the store.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from producers import metrics

STAGE: Final = "gateway"
DETAIL_MAX_CHARS: Final = 2_000
CUT_MARK: Final = "… [cut by tracemill]"
_SHRINK_FACTOR: Final = 0.9


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
    """Return a dead letter of the gateway, with an id that is a hash of its content.

    Input that is sent again on the same day replaces its earlier row in the store. A payload is
    truncated if its line would exceed ``max_bytes``; ``detail`` then ends with a note.
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
    return (
        rejected
        if len(encode_dead_letter(rejected)) <= max_bytes
        else _truncated(rejected, max_bytes)
    )


def _truncated(rejected: DeadLetter, max_bytes: int) -> DeadLetter:
    """Truncate the payload until its line has at most ``max_bytes``.

    This can take several steps, because escaping adds a different number of bytes to each part.
    """
    metrics.LIMIT_REACHED.labels(limit="dead_letter_max_bytes").inc()
    whole, detail = rejected.payload, rejected.detail
    while rejected.payload and (size := len(encode_dead_letter(rejected))) > max_bytes:
        kept = int(len(rejected.payload) * min(max_bytes / size, _SHRINK_FACTOR))
        rejected.payload = whole[:kept]
        rejected.detail = f"{detail} [payload cut by tracemill: {kept} of {len(whole)} characters]"
    return rejected


def encode_dead_letter(rejected: DeadLetter) -> bytes:
    """Encode a dead letter as one line of JSON, without the newline."""
    return _encoder.encode(rejected)
