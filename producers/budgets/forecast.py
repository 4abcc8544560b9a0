"""Forecast the spend of a period: at its rate so far, or by the usual spend of each hour of a week.

The streams and the query API use the same functions, with the same integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Final, Literal, Protocol

Method = Literal["linear", "hour_of_week"]

WEEK_HOURS: Final = 168
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
HISTORY_S: Final = 28 * DAY_S
"""Length of the past in which usual spend is measured."""
_HOUR_US: Final = HOUR_S * 1_000_000


class Forecaster(Protocol):
    """A way to forecast."""

    @property
    def method(self) -> Method:
        """Return its name."""
        ...

    def expected_pico(self, spent_pico: int, start_us: int, end_us: int, now_us: int) -> int:
        """Return the spend at the end of a period."""
        ...

    def reached_at_us(
        self, spent_pico: int, limit_pico: int, start_us: int, end_us: int, now_us: int
    ) -> int | None:
        """Return when spend reaches the limit; None if not within the period."""
        ...


class Linear:
    """Spend goes on at its rate so far."""

    method: Final = "linear"

    def expected_pico(self, spent_pico: int, start_us: int, end_us: int, now_us: int) -> int:
        elapsed_us = min(max(now_us - start_us, 1), end_us - start_us)
        return spent_pico * (end_us - start_us) // elapsed_us

    def reached_at_us(
        self, spent_pico: int, limit_pico: int, start_us: int, end_us: int, now_us: int
    ) -> int | None:
        elapsed_us = min(max(now_us - start_us, 1), end_us - start_us)
        if spent_pico <= 0:
            return None
        at_us = start_us + -(-limit_pico * elapsed_us // spent_pico)
        return at_us if at_us < end_us else None


LINEAR: Final = Linear()


class HourOfWeek:
    """Spend is distributed over a period like that of the same hours of earlier weeks.

    So the spend so far is divided by the share of the period's usual spend that falls before now.
    Groups of a budget are taken to have the same distribution.
    """

    method: Final = "hour_of_week"

    def __init__(self, usual_pico: Mapping[int, int]) -> None:
        """Create a forecast from spend by ``hour_of_week``, whose sum must be positive."""
        hours = [max(0, usual_pico.get(hour, 0)) for hour in range(WEEK_HOURS)]
        self._hours = hours
        self._before = [0, *accumulate(hours)]

    def _usual_until(self, at_us: int) -> int:
        """Return the usual spend since the epoch, in units of picodollars × microseconds."""
        hours, rest_us = divmod(at_us, _HOUR_US)
        weeks, hour = divmod(hours, WEEK_HOURS)
        whole = weeks * self._before[-1] + self._before[hour]
        return whole * _HOUR_US + self._hours[hour] * rest_us

    def expected_pico(self, spent_pico: int, start_us: int, end_us: int, now_us: int) -> int:
        start, end = self._usual_until(start_us), self._usual_until(end_us)
        elapsed = self._usual_until(min(max(now_us, start_us), end_us)) - start
        if not elapsed:  # the usual spend until now is 0
            return LINEAR.expected_pico(spent_pico, start_us, end_us, now_us)
        return spent_pico * (end - start) // elapsed

    def reached_at_us(
        self, spent_pico: int, limit_pico: int, start_us: int, end_us: int, now_us: int
    ) -> int | None:
        if self.expected_pico(spent_pico, start_us, end_us, now_us) < limit_pico:
            return None
        start = self._usual_until(start_us)
        elapsed = self._usual_until(now_us) - start
        if not elapsed:
            return LINEAR.reached_at_us(spent_pico, limit_pico, start_us, end_us, now_us)
        wanted = start + -(-limit_pico * elapsed // spent_pico)
        low_us, high_us = start_us, end_us
        while low_us < high_us:  # the first instant at which the usual spend is reached
            middle_us = (low_us + high_us) // 2
            if self._usual_until(middle_us) >= wanted:
                high_us = middle_us
            else:
                low_us = middle_us + 1
        return low_us if low_us < end_us else None


def hour_of_week(at_s: int) -> int:
    """Return the hour of the week in UTC that an instant belongs to, from 0 to 167."""
    return at_s // HOUR_S % WEEK_HOURS


def history_bounds_s(at_s: int) -> tuple[int, int]:
    """Return the start and the end of the past in which usual spend is measured at ``at_s``.

    It ends with the last whole day in UTC, so that it changes once a day.
    """
    end_s = at_s // DAY_S * DAY_S
    return end_s - HISTORY_S, end_s


def forecaster_of(method: str, usual_pico: Mapping[int, int] | None) -> Forecaster:
    """Return the forecast of a method; linear if usual spend is unknown or 0."""
    if method == "hour_of_week" and usual_pico and any(each > 0 for each in usual_pico.values()):
        return HourOfWeek(usual_pico)
    return LINEAR
