"""Define the response of ``/v1/prices/resolve``, which explains the cost of a call.

The price list and the rules belong to the stream processors; the composition root passes an
implementation of ``PriceExplainer`` to the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from producers.control.kinds.price import Price


class HoursOut(msgspec.Struct):
    """Hours of every day in UTC; the end may be on the next day."""

    start: str
    end: str


class ExplainedPriceOut(msgspec.Struct, kw_only=True):
    """A price whose pattern or name matches the model."""

    id: str
    origin: str
    """``project``, ``installation``, or ``shipped``: part of tracemill."""
    provider: str | None
    model: str
    match: str
    """The pattern, or the listed name, that matches."""
    matching: str
    """``whole_name`` or ``part`` for a pattern, ``name`` for a listed name."""
    effective_from: str | None
    hours: HoursOut | None
    source: str
    as_of: str | None
    """Time when the source was read, or when the price was created."""
    outcome: str
    """``applies``, or why it does not apply."""


class ExplainedTier(msgspec.Struct, kw_only=True):
    """Rates that replace the standard ones, because the call meets their conditions."""

    input_above: int | None
    when: dict[str, str]
    effective_from: str | None
    hours: HoursOut | None
    usd_per_million: dict[str, str]


class ExplainedAmount(msgspec.Struct, kw_only=True):
    usage_type: str
    count: int
    priced_as: str
    """The unit whose rate applies: the usage type's own, or a more general one."""
    usd_per_million: str
    cost_usd: str


class UnpricedUsage(msgspec.Struct, kw_only=True):
    usage_type: str
    count: int
    reason: str


class ExplainedCost(msgspec.Struct, kw_only=True):
    """What a call costs and why."""

    model: str
    at: str
    price: ExplainedPriceOut | None
    reason: str | None
    """Why there is no cost; null if there is one, or if no usage was given."""
    cost_usd: str | None
    """The computed cost."""
    stated_cost_usd: str | None
    """The cost that the usage contains, which takes precedence; null if it contains none."""
    amounts: list[ExplainedAmount]
    unpriced: list[UnpricedUsage]
    usage: dict[str, int]
    """The billed usage, as disjoint counts."""
    usage_uncertain: str | None
    """Why the usage is inconsistent; null if it is consistent."""
    conditions: dict[str, str]
    """Conditions of the call, such as its service tier."""
    tiers: list[ExplainedTier]
    """Tiers whose conditions the call meets; the first one with a rate for a unit applies."""
    input_tokens: int
    above_input_tokens: int | None
    """Input tokens above which ``usd_per_million`` applies; null if it applies to any number."""
    usd_per_million: dict[str, str]
    """Rates of this call by unit."""
    reading: list[str]
    """Steps that normalized the model's name to find a shipped price."""
    candidates: list[ExplainedPriceOut]
    """All prices that match the name, in order of precedence."""


class PriceExplainer(Protocol):
    """An interface to explain costs by the rules that compute them."""

    def explain(
        self,
        prices: Iterable[Price],
        project_id: str,
        model: str,
        usage: Mapping[str, Any],
        at_us: int,
        service_tier: str = "",
    ) -> ExplainedCost:
        """Return what a call costs, given the prices of a project and of the installation."""
        ...

    def price_ids(
        self, prices: Iterable[Price], project_id: str, models: Sequence[str], at_us: int
    ) -> list[str | None]:
        """Return the id of the price that applies to each model, None if there is none."""
        ...
