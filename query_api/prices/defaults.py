"""Define the interface of the default prices, for models without a price of the project.

The list belongs to the stream processors. The process passes it to the API at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec


class DefaultTier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that replace the standard ones for some calls."""

    input_above: int | None = None
    """Applies to calls with more input tokens than this, including cached ones."""
    when: dict[str, str] = {}
    """Applies to calls with these parameters."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    prices: dict[str, tuple[int, int]]
    """Price as (picodollars, number of units), by usage type."""


class DefaultPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a model at a provider, from a point in time on."""

    id: str
    provider: str
    model: str
    match: str
    """Pattern that matches a part of the names of the model."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    """First and last minute of the UTC day at which the prices apply; None means all day."""
    prices: dict[str, tuple[int, int]]
    tiers: tuple[DefaultTier, ...] = ()
    """Tiers; for each usage type, the first one that applies and has a price is used."""
    source: str
    as_of: str
    """Date at which the source was read (ISO 8601)."""


class DefaultPriceList(Protocol):
    """The list that ships with this version."""

    def every(self) -> Sequence[DefaultPrice]:
        """Return all prices, sorted by id."""
        ...

    def of_model(self, model: str) -> Sequence[DefaultPrice]:
        """Return the prices that match a model name, the preferred one first."""
        ...


class _NoPrices:
    def every(self) -> Sequence[DefaultPrice]:
        return ()

    def of_model(self, model: str) -> Sequence[DefaultPrice]:  # noqa: ARG002  # there are none
        return ()


NO_DEFAULT_PRICES: Final = _NoPrices()
"""An empty list of prices."""
