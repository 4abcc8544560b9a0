"""Compute what stored usage would cost at another price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from producers.control.kinds.price import Price
from query_api.prices.explained import PriceExplainer

SAMPLE_UNITS: Final = 1_000
"""Units whose cost is computed to find a rate. They are too few for tiers of long inputs."""
TOTAL: Final = "total"


@dataclass(slots=True)
class OtherPrices:
    """Rates of another model, or of another price, by the rules that compute costs."""

    explainer: PriceExplainer
    prices: Sequence[Price]
    project_id: str
    model: str
    _rates: dict[tuple[str, str, int], Decimal | None] = field(default_factory=dict)

    def has_price(self, at_us: int) -> bool:
        """Return whether a price applies to the model at a time."""
        return self.explainer.price_ids(self.prices, self.project_id, [self.model], at_us) != [None]

    def cost_pico(
        self, usage: Mapping[str, int], at_us: int, service_tier: str
    ) -> tuple[int, dict[str, int]]:
        """Return the cost of usage in picodollars, and the usage that has no price.

        ``total`` is the sum of the other types, so it counts only if there is no other.
        """
        cost, unpriced = Decimal(0), {}
        for usage_type, count in usage.items():
            if count <= 0 or (usage_type == TOTAL and len(usage) > 1):
                continue
            rate = self._rate(usage_type, at_us, service_tier)
            if rate is None:
                unpriced[usage_type] = count
            else:
                cost += rate * count
        return int(cost), unpriced

    def _rate(self, usage_type: str, at_us: int, service_tier: str) -> Decimal | None:
        """Return the picodollars of a unit; None if it has no price."""
        key = (usage_type, service_tier, at_us)
        if key not in self._rates:
            found = self.explainer.explain(
                self.prices,
                self.project_id,
                self.model,
                {usage_type: SAMPLE_UNITS},
                at_us,
                service_tier,
            )
            self._rates[key] = (
                None
                if found.cost_usd is None or found.unpriced
                else Decimal(found.cost_usd).scaleb(12) / SAMPLE_UNITS
            )
        return self._rates[key]
