"""Parse durations such as `30m` in options."""

from __future__ import annotations

import re
from typing import Final

import typer

A_DURATION: Final = "a duration such as 30m, 12h, 90d or 3w"

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def is_duration(text: str) -> bool:
    """Return whether a text is a duration."""
    return _DURATION.fullmatch(text) is not None


def seconds_in(text: str, option: str) -> int:
    """Return the number of seconds of a duration.

    Raises:
        typer.BadParameter: the text is not a duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not {A_DURATION}", param_hint=option)
    return int(found[1]) * _SECONDS[found[2]]
