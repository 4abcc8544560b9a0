"""Read the cost in the attributes of a span, in each convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from producers.gateway.mapping.sources import Attribute, Computed, Reader, Shape, Source, in_scope
from producers.gateway.mapping.types import MODEL_KEYS, VERCEL_CALLS
from producers.gateway.mapping.values import amounts_of, attribute_text
from producers.gateway.otlp import AttributeValue, ExportedSpan
from producers.gateway.values.stated_costs import (
    cost_in,
    cost_of_members,
    cost_within_limit,
    role_of,
)
from producers.gateway.values.usage import cost_of_object

_OF_CALLS: Final = ("gen_ai.", "llm.", "operation.cost", "mlflow.", "litellm.", "openrouter.")
_ALONE: Final = frozenset({"response_cost", "cost_usd", "usage.cost"})
"""Attributes that are the cost of a call in any span, as are those with the prefixes above. Other
names, such as ``total_cost``, count only in spans of model calls, because spans of other
operations, such as an order in a shop, can have costs as well."""


@dataclass(frozen=True, slots=True)
class StatedCost:
    """Read all attributes whose names mean the cost of a call, or of its input or output."""

    def bind(self, shape: Shape) -> Reader | None:
        is_call = shape.has_any(MODEL_KEYS) or any(key.startswith("gen_ai.") for key in shape.keys)
        keys = tuple(
            key
            for key in shape.keys
            if role_of(key) and (is_call or key in _ALONE or key.startswith(_OF_CALLS))
        )
        if not keys:
            return None

        def read(span: ExportedSpan) -> dict[str, int] | None:
            attributes = span.attributes
            found = cost_of_members([(key, _value_of(key, attributes[key])) for key in keys])
            return cost_within_limit(found) or None

        return Reader("", read, keys)


@dataclass(frozen=True, slots=True)
class CostInObject:
    """Read the cost from an object with other values, such as OpenRouter's usage."""

    key: str

    def bind(self, shape: Shape) -> Reader | None:
        return Reader(self.key, _cost_in, (self.key,)) if self.key in shape.keys else None


def _cost_in(value: AttributeValue) -> dict[str, int] | None:
    if isinstance(value, str) and "ost" not in value:
        return None
    return cost_in(amounts_of(value)) or None


def _vercel(span: ExportedSpan) -> dict[str, int] | None:
    """Read the cost only from model calls, because the operation around them repeats it."""
    operation = attribute_text(span.attributes.get("ai.operationId"))
    if operation is not None and operation not in VERCEL_CALLS:
        return None
    provider = amounts_of(span.attributes.get("ai.response.providerMetadata"))
    if not isinstance(provider, dict):
        return None
    openrouter = provider.get("openrouter")
    usage = openrouter.get("usage") if isinstance(openrouter, dict) else None
    stated = (usage, provider.get("gateway"), provider.get("xai"))
    return next(filter(None, map(cost_in, stated)), None)


def _value_of(key: str, value: AttributeValue) -> Any:
    """Return the value of an attribute; None for a 0 of OpenLIT, which means no price."""
    if key == "gen_ai.usage.cost" and value == 0:
        return None
    return amounts_of(value) if isinstance(value, str) and value[:1] == "{" else value


def _cost_details(value: AttributeValue) -> dict[str, int] | None:
    return cost_of_object(amounts_of(value)) or None


COST: Final[tuple[Source, ...]] = (
    Attribute("langfuse.observation.cost_details", _cost_details),
    StatedCost(),
    CostInObject("langfuse.observation.usage_details"),
    in_scope("ai", Computed(("ai.response.providerMetadata",), _vercel)),
    CostInObject("hidden_params"),
    CostInObject("langsmith.usage_metadata"),
    CostInObject("usage"),
    CostInObject("gen_ai.usage"),
    CostInObject("llm.usage"),
)
