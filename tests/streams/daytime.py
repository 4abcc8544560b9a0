"""Where it is daytime now: budgets of that zone meet no midnight while a test runs, nor some hours before and after."""

from __future__ import annotations

from datetime import UTC, datetime


def daytime_zone() -> str:
    """A time zone whose clocks show something between 6 and 18 o'clock."""
    in_utc = 6 <= datetime.now(UTC).hour < 18
    return "UTC" if in_utc else "Etc/GMT-12"  # which is twelve hours ahead, whatever its sign
