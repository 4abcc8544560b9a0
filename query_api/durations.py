"""Parse and format durations such as `5m` or `1h30m`, which are whole seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

DURATION: Final = "a duration such as 30s, 5m or 1h30m, or a number of seconds"
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS: Final = re.compile(r"(?:([0-9]{1,9})w)?(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?"
                           r"(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", re.ASCII)  # fmt: skip
_SHOWN_MAX: Final = 64
_SHOWN_UNITS: Final = ("d", "h", "m", "s")


def duration_s(value: object) -> int:
    """Return the seconds of a duration.

    Raises:
        ValueError: it is neither a duration nor a whole number of seconds, or negative.
    """
    if isinstance(value, str):
        if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
            return int(value)
        found = _PARTS.fullmatch(value)
        if not value or found is None:
            raise ValueError(f"{value[:_SHOWN_MAX]!r} is not allowed; {DURATION} is expected")
        return sum(
            int(count) * size
            for count, size in zip(found.groups(), _UNITS.values(), strict=True)
            if count is not None
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{DURATION} is expected")  # noqa: TRY004
    if not 0 <= value < 10**12 or value != int(value):
        raise ValueError(f"{value!r} is not allowed; {DURATION} is expected")
    return int(value)


def duration_text(seconds: int) -> str:
    """Return the shortest text of a duration, such as ``90s`` as ``1m30s``."""
    if not seconds:
        return "0s"
    parts = []
    for unit in _SHOWN_UNITS:
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def duration_field(max_s: int, description: str, examples: list[str]) -> object:
    """Return the type of a field that is a duration of at most ``max_s``."""
    return Annotated[
        int,
        BeforeValidator(_at_most(max_s)),
        WithJsonSchema({"type": ["string", "integer"], "examples": examples}),
        Field(description=f"{description} At most {duration_text(max_s)}."),
    ]


def _at_most(max_s: int) -> Callable[[object], int]:
    def bounded(value: object) -> int:
        seconds = duration_s(value)
        if seconds > max_s:
            raise ValueError(
                f"{str(value)[:_SHOWN_MAX]!r} is not allowed; at most {duration_text(max_s)} is"
                " expected"
            )
        return seconds

    return bounded
