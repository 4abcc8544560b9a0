"""Read time ranges from query strings: a preset such as `24h`, or `from` and `to`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from query_api.errors import BadRequestError
from query_api.query.chart_kinds import RANGES_S
from query_api.times import SECOND_US, instant_us, iso

PRESETS: Final = RANGES_S
"""Lengths of the presets in seconds; they end now."""
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of time; ``preset`` is empty if the query string has its bounds."""

    preset: str
    from_us: int | None
    to_us: int | None

    @property
    def parameters(self) -> dict[str, str]:
        """Return the parameters that select this range."""
        if self.preset:
            return {"range": self.preset}
        bounds = (("from", self.from_us), ("to", self.to_us))
        return {name: iso(at_us) for name, at_us in bounds if at_us is not None}


def time_range_of(parameters: Mapping[str, str], at_us: int, default: str) -> TimeRange:
    """Return the range of a query string that is read at a time.

    Raises:
        BadRequestError: a bound is not a time, or the preset is unknown.
    """
    bounds: dict[str, int | None] = {"from": None, "to": None}
    for name in bounds:
        if text := parameters.get(name, "").strip():
            try:
                bounds[name] = instant_us(text)
            except ValueError as error:
                raise BadRequestError(f"{name}: {error}", field=name) from error
    if bounds["from"] is not None or bounds["to"] is not None:
        return TimeRange("", bounds["from"], bounds["to"])
    preset = parameters.get("range", "").strip() or default
    if preset == ALL:
        return TimeRange(ALL, None, None)
    if preset not in PRESETS:
        allowed = (*PRESETS, ALL)
        message = f"range: {preset[:20]!r} is not one of {', '.join(allowed)}"
        raise BadRequestError(message, field="range", allowed=allowed)
    return TimeRange(preset, at_us - PRESETS[preset] * SECOND_US, None)
