"""Compute the UTC day and month of an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

QuotaPeriod = Literal["day", "month"]

DAY_S: Final = 86_400


class Today(NamedTuple):
    """A UTC day."""

    day: str
    """As ``2026-11-28``."""
    month: str
    """As ``2026-11``."""
    ends_s: float
    """End of the day, in seconds since the epoch."""
    month_ends_s: float

    @classmethod
    def of(cls, at_s: float) -> Today:
        """Return the day of an instant."""
        day = datetime.fromtimestamp(at_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return cls(
            f"{day:%Y-%m-%d}", f"{day:%Y-%m}", day.timestamp() + DAY_S, next_month.timestamp()
        )

    def end_of(self, period: QuotaPeriod) -> float:
        """Return the end of the current period, in seconds since the epoch."""
        return self.ends_s if period == "day" else self.month_ends_s
