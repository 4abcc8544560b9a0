"""Convert between integer microseconds and ISO 8601 with ``Z``, and validate times of clients."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from query_api.durations import duration_s
from tracemill.clock import now_us

MILLISECOND_US: Final = 1_000
SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_LOST_PLUS: Final = re.compile(r" (\d\d:?\d\d)$")


InstantUs = Annotated[
    int,
    msgspec.Meta(
        ge=(datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND,
        le=(datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND,
    ),
]
"""Type of times in cursors: microseconds within the range of ``iso``."""


def iso(at_us: int) -> str:
    """Format a time like ``2026-11-21T02:45:22.921Z``, with six decimals if it has microseconds."""
    at = _EPOCH + timedelta(microseconds=at_us)
    timespec = "microseconds" if at_us % 1000 else "milliseconds"
    return at.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def iso_or_none(at_us: int) -> str | None:
    """Format a time; ``None`` for zero, which the store uses for absent times."""
    return iso(at_us) if at_us else None


def end_of_millisecond(at_us: int) -> int:
    """Return the last microsecond of the millisecond of a time that has no microseconds.

    JavaScript cuts off the microseconds of times that it reads and sends back.
    """
    return at_us if at_us % MILLISECOND_US else at_us + MILLISECOND_US - 1


def instant_us(text: object) -> int:
    """Parse an ISO 8601 time with an offset.

    A space in place of ``+`` is accepted, because query strings decode ``+`` as a space.

    Raises:
        ValueError: The text is not a time, has no offset, or is outside the range of the store.
    """
    if not isinstance(text, str):
        message = "must be an ISO 8601 time such as 2026-11-21T12:00:00Z"
        raise ValueError(message)  # noqa: TRY004
    try:
        at = datetime.fromisoformat(_LOST_PLUS.sub(r"+\1", text.strip()))
    except ValueError as error:
        raise ValueError(f"not an ISO 8601 time: {text[:64]!r}") from error
    if at.tzinfo is None:
        raise ValueError("the time needs an offset, such as Z")
    try:
        plausible = _EARLIEST <= at <= _LATEST
    except OverflowError:
        plausible = False
    if not plausible:
        raise ValueError("the time must be in the years 1900 to 2299")
    return (at - _EPOCH) // _MICROSECOND


Instant = Annotated[
    int,
    BeforeValidator(instant_us),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-21T12:00:00Z"]}),
]
"""Type of query parameters that are ISO 8601 times, converted to microseconds."""


def _range_us(value: object) -> int:
    """Parse a time, or a duration before now such as ``-7d``. Raises: ValueError: it is neither."""
    if isinstance(value, str) and value.startswith("-"):
        at_us = now_us() - duration_s(value[1:]) * SECOND_US
        if at_us < 0:
            raise ValueError("the time must be 1970 or later")
        return at_us
    try:
        return instant_us(value)
    except ValueError as error:
        raise ValueError(f"{error}; or a duration before now such as -7d") from error


RangeInstant = Annotated[
    int,
    BeforeValidator(_range_us),
    WithJsonSchema({"type": "string", "examples": ["2026-11-21T12:00:00Z", "-7d"]}),
]
"""Type of the bounds of a range: ISO 8601 times, or durations before now, in microseconds."""


def _of_a_record(at_us: int) -> int:
    if not 0 <= at_us < 2**53:
        raise ValueError("the time must be in the years 1970 to 2254")
    return at_us


RecordInstant = Annotated[Instant, AfterValidator(_of_a_record)]
"""Type of times in bodies that are stored in control records."""

RecordRangeInstant = Annotated[RangeInstant, AfterValidator(_of_a_record)]
"""Type of the bounds of ranges in bodies: a ``RecordInstant``, or a duration before now."""


@cache
def zone_names() -> frozenset[str]:
    """Return the IANA names, without ``localtime`` (depends on the machine) and ``Factory``."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError(
            f"unknown time zone {name!r}; it must be an IANA name such as Europe/Berlin"
        )
    return name


TimeZone = Annotated[str, Field(max_length=100), AfterValidator(_known_zone)]
"""Type of query parameters that are IANA names of time zones."""
