"""Explain by which price the stored cost of an observation was computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from query_api.console.page import View
from query_api.money import pico_of
from query_api.prices.explained import ExplainedCost
from query_api.prices.records import prices_of
from query_api.store.rows import StoredObservation
from query_api.times import instant_us

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class UsageLine:
    """Units of a usage type, and what they cost."""

    type: str
    units: int
    cost_pico: int | None
    """None: it has no price, or is included in another line."""
    pico_per_million: int | None
    """The price of a million units; None: it has no price, or the cost does not depend on units."""


@dataclass(frozen=True, slots=True)
class PriceShown:
    """The price of an observation."""

    id: str
    href: str
    """Where the price is shown."""
    from_us: int | None
    """Since when it applies; None: it always did, or the price does not exist any more."""
    as_of: str
    """Date of its source; empty if there is none."""
    is_current: bool
    """Whether a call at the same time would cost the same by today's prices."""


@dataclass(frozen=True, slots=True)
class PricedUsage:
    lines: Sequence[UsageLine]
    price: PriceShown | None


def priced_usage(view: View, observation: StoredObservation) -> PricedUsage:
    """Return the usage of an observation by type, with the price of each."""
    if not observation.price_id or observation.cost_source != "computed":
        return PricedUsage(_lines(observation, {}), None)
    found = view.context.explainer.explain(
        prices_of(view.context.control.view, view.project_id),
        view.project_id,
        observation.model,
        observation.usage,
        observation.start_us,
        observation.service_tier,
    )
    computed = {each.usage_type: pico_of(each.cost_usd) for each in found.amounts}
    is_same = found.price is not None and found.price.id == observation.price_id
    is_current = is_same and computed == observation.cost_pico
    rates = {each.usage_type: pico_of(each.usd_per_million) for each in found.amounts}
    return PricedUsage(
        _lines(observation, rates if is_current else {}),
        _price(view, observation, found, is_same=is_same, is_current=is_current),
    )


def _lines(observation: StoredObservation, rates: Mapping[str, int]) -> list[UsageLine]:
    usage, costs = observation.usage, observation.cost_pico
    # A price per request has a cost without units.
    types = [*usage, *(each for each in costs if each not in usage)]
    lines = []
    for type_ in types:
        units, cost = usage.get(type_, 0), costs.get(type_)
        rate = rates.get(type_)
        if rate is None and cost is not None and units:
            rate = round(cost * MILLION / units)
        lines.append(UsageLine(type_, units, cost, rate if units else None))
    return lines


def _price(
    view: View,
    observation: StoredObservation,
    found: ExplainedCost,
    *,
    is_same: bool,
    is_current: bool,
) -> PriceShown:
    price = found.price if is_same else None
    if price is not None and price.origin == "project" and view.may("write"):
        href = view.path("prices", price.id, "edit")
    else:
        href = f"{view.path('prices')}?{urlencode({'model': observation.model})}"
    since = None if price is None or price.effective_from is None else price.effective_from
    return PriceShown(
        observation.price_id,
        href,
        None if since is None else instant_us(since),
        (price.as_of or "")[:10] if price else "",
        is_current,
    )
