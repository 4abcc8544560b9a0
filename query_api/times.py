"""Instants at the edge: integer microseconds inside, ISO 8601 with ``Z`` outside."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

SECOND_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2299, 12, 31, tzinfo=UTC)
_LOST_PLUS: Final = re.compile(r" (\d\d:?\d\d)$")


InstantUs = Annotated[
    int,
    msgspec.Meta(
        ge=(datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND,
        le=(datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND,
    ),
]
"""Microseconds that ``iso`` can show, in what comes back from clients."""


def now_us() -> int:
    return time.time_ns() // 1000


def iso(at_us: int) -> str:
    """``2026-11-21T02:45:22.921Z``; with six digits where the microseconds say more."""
    at = _EPOCH + timedelta(microseconds=at_us)
    timespec = "microseconds" if at_us % 1000 else "milliseconds"
    return at.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def iso_or_none(at_us: int) -> str | None:
    """The store keeps an absent time as zero."""
    return iso(at_us) if at_us else None


def instant_us(text: object) -> int:
    """Microseconds of an ISO 8601 instant with its offset; a ``+`` that a query string turned into a space is understood.

    Raises:
        ValueError: not an instant, without an offset, or outside of what the store can hold.
    """
    if not isinstance(text, str):
        raise ValueError("an ISO 8601 instant such as 2026-11-21T12:00:00Z is expected")  # noqa: TRY004
    try:
        at = datetime.fromisoformat(_LOST_PLUS.sub(r"+\1", text.strip()))
    except ValueError as error:
        raise ValueError(f"not an ISO 8601 instant: {text[:64]!r}") from error
    if at.tzinfo is None:
        raise ValueError("the instant needs an offset, such as Z")
    try:
        plausible = _EARLIEST <= at <= _LATEST
    except OverflowError:
        plausible = False
    if not plausible:
        raise ValueError("the instant lies outside of the years 1900 to 2299")
    return (at - _EPOCH) // _MICROSECOND


Instant = Annotated[
    int,
    BeforeValidator(instant_us),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-21T12:00:00Z"]}),
]
"""A query parameter: ISO 8601 outside, microseconds inside."""


@cache
def _zone_names() -> frozenset[str]:
    """The IANA names; a machine's own ``localtime`` is none, and ``Factory`` says that no zone was chosen."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _known_zone(name: str) -> str:
    if name not in _zone_names():
        raise ValueError(
            f"unknown time zone {name!r}; an IANA name such as Europe/Berlin is expected"
        )
    return name


TimeZone = Annotated[str, Field(max_length=100), AfterValidator(_known_zone)]
"""An IANA name."""
