"""Serve ``/v1/prices``: prices of a project, which replace the defaults."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final, Self

import msgspec
from pydantic import ConfigDict, Field, field_validator, model_validator

from producers.control.kinds.price import PRICE_TIERS_MAX, Price, PriceTier
from producers.model_patterns import PATTERN_CHARS_MAX, Matching, ModelPattern
from producers.usage_units import unit_of
from query_api.body import Body
from query_api.context import AppContext
from query_api.openapi.price_examples import PRICE_EXAMPLE, PRICE_REQUEST_EXAMPLE
from query_api.prices.amounts import (
    USAGE_TYPES_MAX,
    UsageType,
    UsdPerMillion,
    usd_per_million,
)
from query_api.times import RecordInstant, iso, iso_or_none
from query_api.v1.crud import Create, Resource
from tracemill.clock import now_us

SERVICE_TIERS_MAX: Final = 20
TOKENS_MAX: Final = 2**53 - 1

Prices = Annotated[
    dict[UsageType, UsdPerMillion],
    Field(
        min_length=1,
        max_length=USAGE_TYPES_MAX,
        description="US dollars per million units, by usage type, such as `input` and `output`."
        " Decimal strings with at most 6 decimals: a whole number of picodollars per unit.",
    ),
]


class TierBody(Body):
    model_config = ConfigDict(extra="forbid")

    input_above: int | None = Field(
        None,
        ge=0,
        le=TOKENS_MAX,
        strict=True,
        description="Applies to calls with more input tokens than this, including cached ones.",
    )
    service_tiers: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[],
        max_length=SERVICE_TIERS_MAX,
        description="Applies to calls with one of these service tiers.",
    )
    usd_per_million: Prices

    @model_validator(mode="after")
    def _has_a_condition(self) -> Self:
        if self.input_above is None and not self.service_tiers:
            raise ValueError("a tier needs input_above, service_tiers, or both")
        return self

    def as_record(self) -> PriceTier:
        return PriceTier(
            input_above=self.input_above,
            service_tiers=tuple(self.service_tiers),
            prices=self.usd_per_million,
        )


class PriceBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [PRICE_REQUEST_EXAMPLE]}
    )

    name: str = Field("", max_length=255, description="Display name; not used for matching.")
    match: str = Field(
        min_length=1,
        max_length=PATTERN_CHARS_MAX,
        description="Regular expression (RE2: no lookarounds, no backreferences) of model names.",
    )
    matching: Matching = Field(
        "whole_name",
        description="`whole_name`: the pattern must match the whole name, ignoring case. `part`: it"
        " must match a part of the name, case-sensitively unless it begins with `(?i)`.",
    )
    effective_from: RecordInstant | None = Field(
        None,
        description="The price applies to calls from this time on; without it, to all calls. Calls"
        " that are already priced keep their cost.",
    )
    usd_per_million: Prices
    tiers: list[TierBody] = Field(
        default=[],
        max_length=PRICE_TIERS_MAX,
        description="Different prices for some calls. The first tier whose conditions a call meets"
        " applies; usage types that it does not contain have the standard price.",
    )

    @field_validator("match")
    @classmethod
    def _usable(cls, match: str) -> str:
        ModelPattern(match)
        return match

    @field_validator("effective_from")
    @classmethod
    def _since_the_epoch(cls, effective_from_us: int | None) -> int | None:
        if effective_from_us is not None and effective_from_us < 0:
            raise ValueError("must not be before 1970")
        return effective_from_us

    def fields(self) -> dict[str, Any]:
        """Return the record's fields."""
        return {
            "name": self.name,
            "match": self.match,
            "matching": self.matching,
            "effective_from_us": self.effective_from or 0,
            "prices": self.usd_per_million,
            "tiers": tuple(tier.as_record() for tier in self.tiers),
        }


class TierOut(msgspec.Struct, kw_only=True):
    input_above: int | None
    service_tiers: list[str]
    usd_per_million: dict[str, str]


class PriceOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    match: str
    matching: str
    effective_from: str | None
    usd_per_million: dict[str, str]
    tiers: list[TierOut]
    created_at: str | None
    """Null if the price was created by a version that did not store it."""
    fault: str | None
    """Why the price cannot be applied, if it was created by an earlier version; otherwise null."""
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What the price may lack; only in the response to the request that wrote it."""


def create(_context: AppContext) -> Create[PriceBody, Price]:
    async def create_price(owner: str | None, body: PriceBody) -> Price:
        return Price(
            id=f"prc_{secrets.token_hex(12)}",
            project_id=owner,
            created_us=now_us(),
            **body.fields(),
        )

    return create_price


def replaced(price: Price, body: PriceBody) -> Price:
    """Return the record that a body describes, with the id of ``price``."""
    return Price(
        id=price.id,
        project_id=price.project_id,
        created_us=price.created_us,
        **body.fields(),
    )


def shown(price: Price) -> PriceOut:
    return PriceOut(
        id=price.id,
        name=price.name,
        match=price.match,
        matching=price.matching,
        effective_from=iso_or_none(price.effective_from_us),
        usd_per_million=_texts(price.prices),
        tiers=[
            TierOut(
                input_above=tier.input_above,
                service_tiers=list(tier.service_tiers),
                usd_per_million=_texts(tier.prices),
            )
            for tier in price.tiers
        ],
        created_at=iso(price.created_us) if price.created_us else None,
        fault=price.fault,
    )


async def price_warnings(_context: AppContext, price: Price) -> list[str]:
    """Return what a new price may lack."""
    units = {unit_of(usage_type) for usage_type in price.prices}
    if "input" in units and "cache_read" not in units:
        return ["no price of cache_read: tokens read from a cache cost as much as input"]
    return []


def _texts(prices: dict[str, int]) -> dict[str, str]:
    return {usage_type: usd_per_million(pico) for usage_type, pico in prices.items()}


RESOURCE: Final = Resource(
    record=Price,
    path="/v1/prices",
    body=PriceBody,
    create=create,
    replace=replaced,
    shown=shown,
    shown_type=PriceOut,
    warn=price_warnings,
    example=PRICE_EXAMPLE,
    about_create="It applies to calls of the project that arrive from now on, in place of the"
    " defaults. Costs of earlier calls do not change. Of several prices for a name, the one with"
    " the most specific pattern applies, then the one with the latest `effective_from` in the"
    " past, then the newest one.",
)
