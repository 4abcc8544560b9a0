"""What the gateway refused but must not lose: one line of the dead-letter topic each.

The fields are those of the table ``dead_letters``; this room cannot see the store's rooms, a test keeps the two alike.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

STAGE: Final = "gateway"
DETAIL_MAX_CHARS: Final = 2_000
PAYLOAD_MAX_CHARS: Final = 200_000


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
    project_id: str, *, reason: str, detail: str, payload: bytes, created_us: int
) -> DeadLetter:
    """A dead letter of the gateway. Its id comes from its content: what an SDK sends again is the same letter.

    ``created_us`` is part of the store's key by its day only.
    """
    content = b"\0".join((project_id.encode(), reason.encode(), payload))
    return DeadLetter(
        project_id=project_id,
        id=hashlib.sha256(content).hexdigest()[:32],
        created_us=created_us,
        stage=STAGE,
        reason=reason,
        detail=detail[:DETAIL_MAX_CHARS],
        payload=payload.decode(errors="replace")[:PAYLOAD_MAX_CHARS],
        row_version=created_us,
    )


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """One line of JSON, without the newline."""
    return _encoder.encode(letter)
