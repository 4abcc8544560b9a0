"""Iterate over the fields of encoded protobuf messages, to check large messages before parsing.

The parser creates an object from as little as two bytes, so the messages of a small body can use
gigabytes of memory. A field consists of a tag (field number and wire type) as a varint, and a
value: a varint, 8 bytes, 4 bytes, or a length and that many bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from producers import metrics
from producers.errors import TooLargeError

PARSED_BYTES_MAX: Final = 1024 * 1024
"""Size above which a message is checked before it is parsed, and split if it has spans."""
FIELDS_MAX: Final = 100_000
"""Maximum number of fields of a message that is larger than ``PARSED_BYTES_MAX``."""

_SKIPPED_STEP: Final = 1_000
_VARINT: Final = 0
_LENGTH: Final = 2
_INVALID_TYPE: Final = -1
_FIXED_BYTES: Final = {1: 8, 5: 4}


class TooManyFieldsError(TooLargeError):
    """A message has too many fields; other messages of the export are still parsed."""


class FieldBudget(Protocol):
    """Limit the fields that are skipped in one export."""

    def count_fields(self, count: int) -> None:
        """Add to the count; raise ``TooLargeError`` if it exceeds the limit."""


def fields(
    data: bytes, start: int, end: int, budget: FieldBudget | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each length-delimited field; others are skipped.

    Raises:
        DecodeError: the data is not protobuf.
        TooLargeError: more fields are skipped than ``budget`` allows.
    """
    at = start
    skipped = 0
    try:
        while at < end:
            tag, at = _varint(data, at)
            wire_type = tag & 7 if tag > 7 else _INVALID_TYPE
            if wire_type == _LENGTH:
                size, begin = _varint(data, at)
                at = begin + size
                if at <= end:
                    yield tag >> 3, begin, at
                continue
            if wire_type == _VARINT:
                _, at = _varint(data, at)
            else:
                at += _FIXED_BYTES[wire_type]
            skipped += 1
            if skipped == _SKIPPED_STEP:
                skipped = 0
                if budget is not None:
                    budget.count_fields(_SKIPPED_STEP)
    except (IndexError, KeyError) as error:
        raise DecodeError from error
    if at != end:
        raise DecodeError


def check_fields(data: bytes, start: int, end: int) -> None:
    """Check that parsing a message creates a limited number of objects.

    Raises:
        DecodeError: the data is not protobuf.
        TooManyFieldsError: it has more than ``FIELDS_MAX`` fields.
    """
    skipped = _Skipped()
    for count, _ in enumerate(fields(data, start, end, skipped)):
        if count >= FIELDS_MAX:
            skipped.count_fields(FIELDS_MAX)


class _Skipped:
    """Count the fields that are skipped in one message."""

    def __init__(self) -> None:
        self._left = FIELDS_MAX

    def count_fields(self, count: int) -> None:
        self._left -= count
        if self._left <= 0:
            metrics.LIMIT_REACHED.labels(limit="fields_max").inc()
            message = f"more than {FIELDS_MAX} fields in one span, event or value"
            raise TooManyFieldsError(message)


def parsed(message: Any, data: bytes) -> Any:
    """Parse ``data`` as a message; check its fields first if it is large.

    Raises:
        DecodeError, TooManyFieldsError: for the same reasons as in ``check_fields``.
    """
    if len(data) > PARSED_BYTES_MAX:
        check_fields(data, 0, len(data))
    return message.FromString(data)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = data[at]
    if number < 128:
        return number, at + 1
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise DecodeError
