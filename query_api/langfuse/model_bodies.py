"""Define the request bodies of Langfuse's model definitions, and convert them to prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from producers.control.kinds.price import (
    PRICE_TIERS_MAX,
    LangfuseModel,
    LangfuseTier,
    PriceTier,
)
from producers.model_patterns import PATTERN_CHARS_MAX, ModelPattern
from query_api.body import AnyJson, Body
from query_api.openapi.price_examples import MODEL_REQUEST_EXAMPLE
from query_api.prices.amounts import USAGE_TYPES_MAX, UsageType, pico_of_usd_per_unit

TOKENIZER_CONFIG_BYTES_MAX: Final = 4_096
CONDITIONS_MAX: Final = 10
VALUES_MAX: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SERVICE_TIER: Final = ("service_tier", "serviceTier")

UsdPerUnit = Annotated[
    int,
    BeforeValidator(pico_of_usd_per_unit, json_schema_input_type=float),
    Field(description="US dollars per unit, with at most 12 decimals."),
]


def _optional_pico(amount: object) -> int | None:
    return None if amount is None else pico_of_usd_per_unit(amount)


OptionalUsdPerUnit = Annotated[
    int | None,
    BeforeValidator(_optional_pico, json_schema_input_type=float | None),
    Field(description="US dollars per unit; only without `pricingTiers`."),
]


class _Body(Body):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Condition(_Body):
    """A condition on the number of input tokens of a call, or on its service tier."""

    usage_detail_pattern: str | None = Field(None, min_length=1, max_length=PATTERN_CHARS_MAX)
    operator: str = Field("in", max_length=10)
    value: float | None = Field(None, allow_inf_nan=False)
    case_sensitive: bool = False
    source: str | None = Field(None, max_length=100)
    key: str | None = Field(None, max_length=100)
    values: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[], max_length=VALUES_MAX
    )

    @model_validator(mode="after")
    def _check_support(self) -> Self:
        if self.usage_detail_pattern is not None:
            self._check_usage(self.usage_detail_pattern)
        elif self.source != "model_parameters" or self.key not in _SERVICE_TIER:
            raise ValueError(
                "a condition needs either usageDetailPattern,"
                " or the source model_parameters and the key service_tier"
            )
        elif self.operator != "in" or not self.values:
            raise ValueError(
                "a condition on service_tier needs the operator `in` and at least one value"
            )
        return self

    def _check_usage(self, text: str) -> None:
        try:
            pattern = ModelPattern(text if self.case_sensitive else f"(?i:{text})", "part")
        except ValueError as error:
            raise ValueError(f"usageDetailPattern: {error}") from error
        if not pattern.matches("input") or pattern.matches("output") or pattern.matches("total"):
            raise ValueError("usageDetailPattern: must match input, and neither output nor total")
        if self.operator not in ("gt", "gte"):
            raise ValueError("operator: must be gt or gte for usage")
        least = 0 if self.operator == "gt" else 1
        if self.value is None or not least <= self.value < 2**53 or self.value % 1:
            raise ValueError(f"value: must be a whole number of {least} or more")

    @property
    def input_above(self) -> int | None:
        """Number of input tokens above which the condition is met; None for a service tier."""
        if self.value is None or self.usage_detail_pattern is None:
            return None
        return int(self.value) - (self.operator == "gte")

    def as_langfuse(self) -> dict[str, Any]:
        """Return the condition in Langfuse's format."""
        if self.usage_detail_pattern is None:
            names = ("source", "key", "operator", "values")
        else:
            names = ("usage_detail_pattern", "operator", "value", "case_sensitive")
        return {to_camel(name): getattr(self, name) for name in names}


class Tier(_Body):
    name: str = Field(min_length=1, max_length=255)
    is_default: bool = False
    priority: int = Field(ge=0, lt=2**31)
    conditions: list[Condition] = Field(max_length=CONDITIONS_MAX)
    prices: dict[UsageType, UsdPerUnit] = Field(min_length=1, max_length=USAGE_TYPES_MAX)

    @model_validator(mode="after")
    def _check_tier(self) -> Self:
        if self.is_default and (self.priority or self.conditions):
            raise ValueError("the default tier must have the priority 0 and no conditions")
        if not self.is_default and not self.conditions:
            raise ValueError(
                "conditions: must have at least one condition unless isDefault is true"
            )
        if sum(condition.source is not None for condition in self.conditions) > 1:
            raise ValueError("conditions: must have at most one condition on service_tier")
        return self

    def as_record(self) -> PriceTier:
        limits = [each.input_above for each in self.conditions if each.input_above is not None]
        return PriceTier(
            input_above=max(limits, default=None),
            service_tiers=tuple(value for each in self.conditions for value in each.values),
            prices=self.prices,
        )

    def as_langfuse(self) -> LangfuseTier:
        conditions = [condition.as_langfuse() for condition in self.conditions]
        return LangfuseTier(
            name=self.name,
            priority=self.priority,
            conditions=msgspec.json.encode(conditions).decode(),
        )


def _start_us(text: object) -> int | None:
    """Convert a date or a time, in UTC unless it has an offset, to Unix microseconds."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        if at is not None:
            start = at.replace(tzinfo=at.tzinfo or UTC) - _EPOCH
            start_us = (start.days * 86_400 + start.seconds) * 10**6 + start.microseconds
            if 0 <= start_us < 2**53:
                return start_us
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be an ISO 8601 date or time, not before 1970")


class ModelBody(_Body):
    model_config = ConfigDict(json_schema_extra={"examples": [MODEL_REQUEST_EXAMPLE]})

    model_name: str = Field(min_length=1, max_length=255)
    match_pattern: str = Field(
        min_length=1,
        max_length=PATTERN_CHARS_MAX,
        description="Regular expression (RE2) that matches a part of model names.",
    )
    start_date: Annotated[
        int | None, BeforeValidator(_start_us, json_schema_input_type=str | None)
    ] = None
    unit: Literal["TOKENS", "CHARACTERS", "MILLISECONDS", "SECONDS", "REQUESTS", "IMAGES"]
    input_price: OptionalUsdPerUnit = None
    output_price: OptionalUsdPerUnit = None
    total_price: OptionalUsdPerUnit = None
    pricing_tiers: list[Tier] | None = Field(None, max_length=PRICE_TIERS_MAX + 1)
    tokenizer_id: Literal["openai", "claude"] | None = Field(
        None,
        description="Stored and returned, but not used: the model's name determines the tokenizer.",
    )
    tokenizer_config: AnyJson = None

    @field_validator("match_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        ModelPattern(pattern, "part")
        return pattern

    @field_validator("tokenizer_config")
    @classmethod
    def _check_size(cls, config: Any) -> Any:
        if len(msgspec.json.encode(config)) > TOKENIZER_CONFIG_BYTES_MAX:
            raise ValueError(f"must have at most {TOKENIZER_CONFIG_BYTES_MAX} bytes as JSON")
        return config

    @field_validator("pricing_tiers")
    @classmethod
    def _check_tiers(cls, tiers: list[Tier] | None) -> list[Tier] | None:
        if not tiers:
            return None
        if sum(tier.is_default for tier in tiers) != 1:
            raise ValueError("exactly one tier must have isDefault true")
        for names in ([tier.name for tier in tiers], [tier.priority for tier in tiers]):
            if len(set(names)) != len(names):
                raise ValueError("names and priorities of tiers must be unique")
        return tiers

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        if bool(self._flat_prices()) == bool(self.pricing_tiers):
            raise ValueError(
                "set either pricingTiers, or some of inputPrice, outputPrice and totalPrice"
            )
        if self.total_price is not None and len(self._flat_prices()) > 1:
            raise ValueError("totalPrice: must be null if inputPrice or outputPrice is set")
        return self

    def _flat_prices(self) -> dict[str, int]:
        flat = {"input": self.input_price, "output": self.output_price, "total": self.total_price}
        return {name: pico for name, pico in flat.items() if pico is not None}

    def fields(self, chosen_id: str = "") -> dict[str, Any]:
        """Return the fields of the price record."""
        given = sorted(self.pricing_tiers or (), key=lambda tier: tier.priority)
        default = next((tier for tier in given if tier.is_default), None)
        tiers = [tier for tier in given if not tier.is_default]
        return {
            "name": self.model_name,
            "match": self.match_pattern,
            "matching": "part",
            "effective_from_us": self.start_date or 0,
            "prices": default.prices if default else self._flat_prices(),
            "tiers": tuple(tier.as_record() for tier in tiers),
            "langfuse": LangfuseModel(
                id=chosen_id,
                unit=self.unit,
                tokenizer_id=self.tokenizer_id,
                tokenizer_config=msgspec.json.encode(self.tokenizer_config).decode(),
                default_tier=default.name if default else "Standard",
                tiers=tuple(tier.as_langfuse() for tier in tiers),
            ),
        }
