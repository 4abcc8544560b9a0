"""Prices: what usage of a model costs."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import ControlRecord, Identifier, Microseconds, Picodollars
from producers.model_patterns import Matching, ModelPattern

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
    per_project_max = 100

    project_id: Identifier | None = None
    match: str = Field(min_length=1, max_length=500)
    """Pattern of model names. Earlier versions kept some that this one refuses, see ``fault``."""
    matching: Matching = "whole_name"
    provider: str | None = Field(None, max_length=100)
    effective_from_us: Microseconds = 0
    prices: dict[str, Picodollars]
    """Picodollars per unit by usage type."""
    tiers: tuple[PriceTier, ...] = Field((), max_length=PRICE_TIERS_MAX)
    created_us: Microseconds = 0
    """0: before this was kept."""

    @property
    def owner(self) -> str | None:
        return self.project_id

    @property
    def fault(self) -> str | None:
        """Return why nothing is priced by this record; None: it is used."""
        try:
            ModelPattern(self.match, self.matching)
        except ValueError as error:
            return f"match: {error}"
        return None
