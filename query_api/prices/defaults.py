"""Define the interface of the default prices, which apply to projects without their own price.

The list itself belongs to the stream processors; the composition root passes it to the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec


class DefaultTier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that replace the standard ones for some calls."""

    input_above: int | None = None
    """Applies to calls with more input tokens, cached ones included."""
    when: dict[str, str] = {}
    """Applies to calls with these parameters."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    prices: dict[str, tuple[int, int]]
    """Picodollars and the number of units that they pay for, by usage type."""


class DefaultPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a model at a provider, from a point in time on."""

    id: str
    provider: str
    model: str
    match: str
    """A pattern that is found in names of the model."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    """First and last minute of the UTC day in which they apply; None means all day."""
    prices: dict[str, tuple[int, int]]
    tiers: tuple[DefaultTier, ...] = ()
    """The first tier that applies to a call and has a price for a usage type is used."""
    source: str
    as_of: str
    """The day on which the source was read, ISO."""


class DefaultPriceList(Protocol):
    """The list that ships with this version."""

    def every(self) -> Sequence[DefaultPrice]:
        """Return all prices, by id."""
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
"""An empty list, for an API that is built without one."""
