"""Define what the routes need of the tiers of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from producers.errors import ControlUnavailableError
from producers.tiers.book import TierBook
from producers.tiers.record import Tier


class Tiers(Protocol):
    """An interface to the tiers of users; ``producers.tiers.log.TierLog`` implements it."""

    @property
    def book(self) -> TierBook:
        """Return the tiers of all users."""

    async def write(self, tiers: Sequence[Tier], *, per_project_max: int) -> None:
        """Write tiers, and return when ``book`` has them. Raises like ``TierLog.write``."""


class _NoTiers:
    book: Final = TierBook()

    async def write(self, tiers: Sequence[Tier], *, per_project_max: int) -> None:  # noqa: ARG002
        raise ControlUnavailableError("this process does not keep the tiers of users")


NO_TIERS: Final = _NoTiers()
"""No user has a tier, and none can be written."""
