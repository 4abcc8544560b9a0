"""Prices of the usage of models."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import ControlRecord, Identifier, Microseconds, Picodollars
from producers.model_patterns import Matching, ModelPattern

PRICE_TIERS_MAX: Final = 50


class PriceTier(BaseModel):
    """Other prices for some calls; the first tier whose conditions are all met applies."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_above: int | None = Field(None, ge=0)
    """Condition: the call has more input units than this, including cached ones."""
    service_tiers: tuple[str, ...] = ()
    """Condition: the service tier of the call is one of these; empty: any."""
    prices: dict[str, Picodollars]


class LangfuseTier(BaseModel):
    """Fields of a tier that only the Langfuse API has."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    priority: int
    conditions: str
    """JSON text of an array."""


class LangfuseModel(BaseModel):
    """Fields of a model definition that only the Langfuse API has; pricing does not use them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    """The id that a client chose; empty: the id of the record."""
    unit: str = "TOKENS"
    tokenizer_id: str | None = None
    tokenizer_config: str = "null"
    """JSON text."""
    default_tier: str = "Standard"
    tiers: tuple[LangfuseTier, ...] = ()
    """One for each tier of the price."""


class Price(ControlRecord):
    """The prices of a model's usage, from a point in time on.

    A price of a project takes precedence over one of the installation (``project_id`` is None).
    """

    kind = "price"
    per_project_max = 100

    project_id: Identifier | None = None
    name: str = Field("", max_length=255)
    match: str = Field(min_length=1, max_length=500)
    """Pattern of model names. Earlier versions accepted some that are now invalid, see
    ``fault``."""
    matching: Matching = "whole_name"
    provider: str | None = Field(None, max_length=100)
    effective_from_us: Microseconds = 0
    prices: dict[str, Picodollars]
    """Picodollars per unit by usage type."""
    tiers: tuple[PriceTier, ...] = Field((), max_length=PRICE_TIERS_MAX)
    created_us: Microseconds = 0
    """0: unknown (records of earlier versions)."""
    langfuse: LangfuseModel | None = None

    @property
    def owner(self) -> str | None:
        return self.project_id

    @property
    def fault(self) -> str | None:
        """Return why this record is not used; None if it is used."""
        try:
            ModelPattern(self.match, self.matching)
        except ValueError as error:
            return f"match: {error}"
        return None
