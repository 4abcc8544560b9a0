"""Format numbers, amounts, durations and times for people, by locale and time zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final

from babel import Locale
from babel.dates import format_datetime, format_skeleton
from babel.numbers import (
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
    get_decimal_symbol,
    get_group_symbol,
)

from query_api.console.preferences import Preferences
from query_api.console.translations import locale_of
from query_api.money import PICO_PER_USD, pico_of
from query_api.times import instant_us, iso

DASH = "–"
DAYS_CACHED = 1_000
AXIS_OF_DAYS_S = 3 * 86_400
AXIS_OF_SECONDS_S = 600
"""Axes of at least and of less than these spans have only days, and also seconds."""
COLUMN_DIGITS_MAX = 6
"""Maximum number of digits after the point that the amounts of a column share."""
DURATION_UNITS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "en": ("ms", "s", "min", "h"),
    "zh_CN": ("毫秒", "秒", "分", "小时"),
}
"""Milliseconds, seconds, minutes and hours by locale."""
_COMPACT_FROM = 10_000
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Formats:
    """Formats values for the locale and time zone of a viewer. Absent values are a dash.

    Amounts are in picodollars, durations and times in microseconds.
    """

    preferences: Preferences

    def number(self, value: float | None) -> str:
        if value is None:
            return DASH
        if isinstance(value, int):
            return _grouped(value, 0, self._locale)
        return format_decimal(value, locale=self._locale)

    def compact(self, value: int | None) -> str:
        """Return a count in few characters, such as `1.2M`."""
        if value is None or abs(value) < _COMPACT_FROM:
            return self.number(value)
        return format_compact_decimal(value, locale=self._locale, fraction_digits=1)

    def bytes(self, value: int | None) -> str:
        """Return a size in the unit that fits, of 1,000 each."""
        if value is None:
            return DASH
        size, unit = float(value), 0
        while size >= 1_000 and unit < len(_BYTE_UNITS) - 1:
            size, unit = size / 1_000, unit + 1
        text = self.number(value) if not unit else self._rounded(size)
        return f"{text} {_BYTE_UNITS[unit]}"

    def percent(self, ratio: float | None) -> str:
        if ratio is None:
            return DASH
        pattern = "#,##0.0%" if 0 < abs(ratio) < 0.1 else "#,##0%"
        return format_percent(ratio, pattern, locale=self._locale)

    def exact_percent(self, ratio: float) -> str:
        """Return percent with up to two digits after the point, or three significant ones."""
        places = max(2, -Decimal(ratio).adjusted()) if ratio else 2
        pattern = f"#,##0.{'#' * min(places, COLUMN_DIGITS_MAX)}%"
        return format_percent(ratio, pattern, locale=self._locale)

    def usd(self, pico: int | None, digits: int | None = None) -> str:
        """Return an amount with two digits, or two to three significant ones below a dollar.

        ``digits`` are those of its column, from ``usd_digits``. An amount that is too small for
        them has its own.
        """
        if pico is None:
            return DASH
        amount = Decimal(pico) / PICO_PER_USD
        if not pico or digits is None or not round(amount, digits):
            digits = _digits_of(amount)
        before, after = _around_usd(self._locale)
        sign = "-" if amount < 0 else ""
        return f"{sign}{before}{_grouped(abs(amount), digits, self._locale)}{after}"

    def usd_digits(self, picos: Iterable[int | None]) -> int:
        """Return the digits with which amounts of a column stand below each other."""
        amounts = [Decimal(pico) / PICO_PER_USD for pico in picos if pico]
        return min(COLUMN_DIGITS_MAX, max(map(_digits_of, amounts), default=2))

    def usd_text(self, amount: str | None) -> str:
        """Return an amount that the API shows as a decimal string of dollars."""
        return self.usd(None if amount is None else pico_of(amount))

    def price_text(self, amount: str) -> str:
        """Return a price, which the API shows as a decimal string, with all its digits."""
        pico = pico_of(amount)
        exponent = (Decimal(pico) / PICO_PER_USD).normalize().as_tuple().exponent
        return self.usd(pico, max(2, -int(exponent)))

    def time_text(self, text: str | None) -> str:
        """Return a time that the API shows as ISO 8601."""
        return DASH if text is None else self.time(instant_us(text))

    def exact_usd(self, pico: int) -> str:
        """Return an amount with all its digits."""
        amount = (Decimal(pico) / PICO_PER_USD).normalize()
        return f"{amount:f} USD"

    def duration(self, micros: float | None) -> str:
        """Return a duration in the unit that fits, with three significant digits."""
        if micros is None or micros < 0:
            return DASH
        ms, s, minutes, h = self.duration_units
        if micros < 1_000_000:
            return f"{self._rounded(micros / 1_000)} {ms}"
        seconds = micros / 1_000_000
        if seconds < 60:
            return f"{self._rounded(seconds)} {s}"
        whole = round(seconds)
        if whole < 3_600:
            return f"{whole // 60} {minutes} {whole % 60:02} {s}"
        return f"{self.number(whole // 3_600)} {h} {whole % 3_600 // 60:02} {minutes}"

    @property
    def duration_units(self) -> tuple[str, str, str, str]:
        """Return the names of milliseconds, seconds, minutes and hours; scripts use them, too."""
        return DURATION_UNITS[self.preferences.locale]

    def time(self, micros: int) -> str:
        """Return the day and the time to the second."""
        at = self._at(micros)
        return f"{_day(at.date(), self._locale)} {at:%H:%M:%S}"

    def axis_time(self, micros: int, span_s: int) -> str:
        """Return a time as an axis of so many seconds shows it."""
        at = self._at(micros)
        day = _day(at.date(), self._locale)
        if span_s >= AXIS_OF_DAYS_S:
            return day
        return f"{day} {at:%H:%M:%S}" if span_s < AXIS_OF_SECONDS_S else f"{day} {at:%H:%M}"

    def full_time(self, micros: int) -> str:
        """Return a time with its year, milliseconds and zone."""
        return format_datetime(
            self._at(micros), "yyyy-MM-dd HH:mm:ss.SSS ZZZZ", locale=self._locale
        )

    def iso(self, micros: int) -> str:
        return iso(micros)

    def _rounded(self, value: float) -> str:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        text = _grouped(value, digits, self._locale)
        return text.rstrip("0").rstrip(_separators(self._locale)[1]) if digits else text

    def _at(self, micros: int) -> datetime:
        at = _EPOCH + timedelta(microseconds=micros)
        return at.astimezone(self.preferences.zone)

    @property
    def _locale(self) -> str:
        return str(locale_of(self.preferences.locale))


def _digits_of(amount: Decimal) -> int:
    """Return the digits after the point with which an amount of dollars is shown."""
    if not amount or abs(amount) >= 1:
        return 2
    digits = min(12, max(2, 1 - amount.adjusted()))
    # Without a third digit, rows such as 0.0125 would not add up to their total.
    is_exact = digits == 12 or round(amount, digits + 1) == round(amount, digits)
    return digits if is_exact else digits + 1


# Pages have thousands of numbers. Python formats them in a fiftieth of the time of Babel, with the
# same separators.
def _grouped(value: float | Decimal, digits: int, locale: str) -> str:
    """Return a number with this many decimals and its thousands separated."""
    text = f"{value:,.{digits}f}"
    group, decimal = _separators(locale)
    if (group, decimal) == (",", "."):
        return text
    return text.translate({ord(","): group, ord("."): decimal})


@cache
def _separators(locale: str) -> tuple[str, str]:
    """Return what separates thousands, and decimals."""
    parsed = Locale.parse(locale)
    return get_group_symbol(parsed), get_decimal_symbol(parsed)


@cache
def _around_usd(locale: str) -> tuple[str, str]:
    """Return what is before and after an amount of US dollars."""
    before, _, after = format_currency(
        1, "USD", "¤#,##0", locale=locale, currency_digits=False
    ).partition("1")
    return before, after


@lru_cache(maxsize=DAYS_CACHED)
def _day(day: date, locale: str) -> str:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return str(format_skeleton("MMMd", at, locale=locale))
