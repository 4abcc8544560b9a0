"""Dead letters of input that raised: which exception, where in the code, and what it was given.

A row built here always encodes and stays below a given size, whatever the exception and the payload
hold: its detail is cut, and so is its payload, with a mark in the detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Final

import msgspec

from clickhouse.rows import DeadLetterRow

PROCESSING_FAILED: Final = "processing_failed"
MESSAGE_MAX_CHARS: Final = 500
"""Of an exception's message, which often quotes its input."""
PROJECT_ID_MAX_CHARS: Final = 200
FRAMES_MAX: Final = 5_000
"""Frames of a traceback that are walked: more than Python's recursion limit allows by default."""
OWN_PACKAGES: Final = ("streams", "clickhouse", "producers", "tracemill")
TIME_MAX_US: Final = 2**32 * 1_000_000
"""What the store's times hold for certain."""
ROW_OVERHEAD_BYTES: Final = 16 * 1024
"""What a row takes besides its payload, generously: every other field is bounded."""


@dataclass(frozen=True, slots=True)
class Source:
    """The record that a failure came from."""

    topic: str
    partition: int
    offset: int
    at_us: int
    """When the broker received it."""


def describe_error(error: BaseException) -> str:
    """Return type, message and code location of an exception, bounded and always encodable."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # a message that cannot be made is no reason to fail again
        message = "(no message)"
    text = f"{type(error).__name__}: {message[:MESSAGE_MAX_CHARS]}"
    location = _location(error.__traceback__)
    return _encodable(f"{text} (at {location})" if location else text)


def dead_letter_of_error(
    *,
    stage: str,
    identity: str,
    error: BaseException,
    payload: bytes,
    project_id: str,
    source: Source,
    row_bytes_max: int,
) -> DeadLetterRow:
    """Build the row of what raised ``error``.

    Args:
        stage: the stage that set it aside.
        identity: names the input, the same whenever it is read again: a replay gives the same row.
        error: what was raised.
        payload: the input; cut where the row would be longer than ``row_bytes_max`` as JSON.
        project_id: its owner; empty when not known.
        source: the record it came in.
        row_bytes_max: of the encoded row.
    """
    text = payload.decode(errors="replace")
    kept = cut_to_json_bytes(text, max(0, row_bytes_max - ROW_OVERHEAD_BYTES))
    detail = describe_error(error)
    if len(kept) < len(text):
        detail += f" (the payload is cut: the first {len(kept)} of {len(text)} characters)"
    return DeadLetterRow(
        project_id=_encodable(project_id) if len(project_id) <= PROJECT_ID_MAX_CHARS else "",
        id=sha256(f"{stage}/{identity}".encode(errors="replace")).hexdigest()[:32],
        created_us=min(max(source.at_us, 0), TIME_MAX_US),
        stage=stage,
        reason=PROCESSING_FAILED,
        detail=detail,
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
        payload=kept,
    )


def cut_to_json_bytes(text: str, bytes_max: int) -> str:
    """Return the longest beginning of a text, or a little less, that takes ``bytes_max`` as JSON."""
    while text and (escaped := len(msgspec.json.encode(text))) > bytes_max:
        text = text[: min(len(text) * bytes_max // escaped, len(text) - 1)]
    return text


def _location(traceback: TracebackType | None) -> str:
    """Return the innermost frame in our own packages, or the innermost of all."""
    location = ""
    own = False
    for _ in range(FRAMES_MAX):
        if traceback is None:
            break
        module = str(traceback.tb_frame.f_globals.get("__name__", "?"))
        is_own = module.partition(".")[0] in OWN_PACKAGES
        if is_own or not own:
            function = traceback.tb_frame.f_code.co_name
            location = f"{module}:{traceback.tb_lineno} in {function}"
        own = own or is_own
        traceback = traceback.tb_next
    return location


def _encodable(text: str) -> str:
    """Replace unpaired surrogates, which no encoder takes."""
    return text if text.isascii() else text.encode(errors="replace").decode()
