"""Prices: what usage of a model costs."""

from __future__ import annotations

import re
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from producers.control.record import ControlRecord, Identifier, Microseconds, Picodollars

PRICE_TIERS_MAX: Final = 50


class PriceTier(BaseModel):
    """Other prices under a condition; the first tier of a price whose conditions all hold applies."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_above: int | None = Field(None, ge=0)
    """Holds when the input units of one call, cached ones included, are more than this."""
    service_tiers: tuple[str, ...] = ()
    """Holds when the call's ``service_tier`` parameter is one of these; empty: whatever it is."""
    prices: dict[str, Picodollars]


class Price(ControlRecord):
    """What a unit of usage of a model costs, from a date on.

    A project's own price outranks one of the installation (``project_id`` none).
    """

    kind = "price"

    project_id: Identifier | None = None
    match: str = Field(min_length=1, max_length=500)
    """Regular expression, matched in full against the model's name, case-insensitively."""
    provider: str | None = Field(None, max_length=100)
    effective_from_us: Microseconds = 0
    prices: dict[str, Picodollars]
    """Picodollars per unit by usage type."""
    tiers: tuple[PriceTier, ...] = Field((), max_length=PRICE_TIERS_MAX)

    @property
    def owner(self) -> str | None:
        return self.project_id

    @field_validator("match")
    @classmethod
    def _compiles(cls, match: str) -> str:
        try:
            re.compile(match)
        except re.error as error:
            message = f"not a regular expression: {error}"
            raise ValueError(message) from error
        return match
