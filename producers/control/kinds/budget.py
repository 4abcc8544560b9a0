"""Budgets: limits of spend in a period."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from producers.control.record import Microseconds, ProjectRecord
from producers.dimensions.registry import REGISTRY

THRESHOLDS_MAX: Final = 20


class Budget(ProjectRecord):
    """A limit of spend per period in a scope of a project; its thresholds create alerts."""

    kind = "budget"
    per_project_max = 1_000

    name: str = Field(min_length=1, max_length=255)
    scope: dict[str, str] = {}
    """Values of dimensions of spend, by the name of the dimension; empty: the whole project."""
    period: Literal["day", "month"]
    time_zone: str = "UTC"
    """IANA name of the time zone in which days and months begin."""
    limit_pico: Annotated[int, Field(gt=0, lt=2**63)]
    thresholds: tuple[str, ...] = Field(min_length=1, max_length=THRESHOLDS_MAX)
    """Shares of the limit as decimal strings, in ascending order."""
    created_us: Microseconds

    @field_validator("scope")
    @classmethod
    def _known_dimensions(cls, scope: dict[str, str]) -> dict[str, str]:
        allowed = [each.name for each in REGISTRY.of_spend()]
        unknown = [name for name in scope if name not in allowed]
        if unknown:
            message = f"scope: {unknown[0][:64]!r} must be one of {', '.join(allowed)}"
            raise ValueError(message)
        return scope

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError) as error:
            message = f"not an IANA time zone: {time_zone!r}"
            raise ValueError(message) from error
        return time_zone

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: tuple[str, ...]) -> tuple[str, ...]:
        shares = {_share(threshold): threshold for threshold in thresholds}
        if len(shares) != len(thresholds):
            message = "a threshold appears twice"
            raise ValueError(message)
        return tuple(shares[share] for share in sorted(shares))


def _share(threshold: str) -> Decimal:
    try:
        share = Decimal(threshold)
    except InvalidOperation as error:
        message = f"not a decimal number: {threshold!r}"
        raise ValueError(message) from error
    if not share.is_finite() or not Decimal(0) < share <= Decimal(100):
        message = f"a threshold must be above 0 and at most 100: {threshold!r}"
        raise ValueError(message)
    return share
