"""The prices that apply where a project has none of its own, and ship with this version.

The list belongs to the stream processors, which price by it; whoever builds the API passes it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec


class DefaultTier(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that replace the standard ones of some calls."""

    input_above: int | None = None
    """Of calls with more input tokens, cached ones included."""
    when: dict[str, str] = {}
    """Of calls with these parameters."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    prices: dict[str, tuple[int, int]]
    """Picodollars, and per how many units, by usage type."""


class DefaultPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a model at a provider, from a moment on."""

    id: str
    provider: str
    model: str
    match: str
    """A pattern that is found in names of the model."""
    effective_from_us: int = 0
    hours: tuple[int, int] | None = None
    """Minutes of the UTC day from and until which they are in force; none: all day."""
    prices: dict[str, tuple[int, int]]
    tiers: tuple[DefaultTier, ...] = ()
    """The first that holds for a call and has a price for a usage type decides it."""
    source: str
    as_of: str
    """The day on which the source was read, ISO."""


class DefaultPriceList(Protocol):
    """The list that ships with this version."""

    def every(self) -> Sequence[DefaultPrice]:
        """Return all prices, by id."""
        ...

    def of_model(self, model: str) -> Sequence[DefaultPrice]:
        """Return the prices of the model that a name means, the one to prefer first."""
        ...


class _NoPrices:
    def every(self) -> Sequence[DefaultPrice]:
        return ()

    def of_model(self, model: str) -> Sequence[DefaultPrice]:  # noqa: ARG002  # there are none
        return ()


NO_DEFAULT_PRICES: Final = _NoPrices()
"""An empty list, for an API that is built without one."""
