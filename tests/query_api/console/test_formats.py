"""Numbers, amounts and times are as Babel formats them, in a fraction of its time."""

from __future__ import annotations

from decimal import Decimal

import pytest
from babel.numbers import format_currency, format_decimal

from query_api.console.formats import DURATION_UNITS, Formats
from query_api.console.preferences import Preferences
from query_api.console.translations import LOCALES

NUMBERS = (0, 1, 999, 1_000, 12_345_678, -5, -12_345)


def formats(locale: str) -> Formats:
    return Formats(Preferences(locale, "", "auto"))


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("number", NUMBERS)
def test_whole_numbers_and_amounts_are_as_of_babel(locale: str, number: int) -> None:
    assert formats(locale).number(number) == format_decimal(number, locale=locale)
    expected = format_currency(Decimal(number), "USD", locale=locale)
    assert formats(locale).usd(number * 10**12) == expected


@pytest.mark.parametrize(
    ("pico", "shown"),
    [(10**12, "$1.00"), (5 * 10**9, "$0.0050"), (1, "$0.000000000001"), (0, "$0.00"),
     (-(10**10), "-$0.010"), (1_234_567 * 10**12, "$1,234,567.00")],
)  # fmt: skip
def test_amounts_below_a_dollar_have_two_significant_digits(pico: int, shown: str) -> None:
    assert formats("en").usd(pico) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0, "0%"), (1, "100%"), (0.125, "12.5%"), (1 / 13, "7.69%"), (0.00012345, "0.0123%"),
     (0.9997, "99.97%"), (1e-9, "0%")],
)  # fmt: skip
def test_shares_of_alerts_have_three_digits(ratio: float, shown: str) -> None:
    assert formats("en").exact_percent(ratio) == shown


def test_amounts_of_a_column_have_the_same_digits() -> None:
    en = formats("en")
    picos = (25 * 10**9, 7 * 10**8, 36_400_000 * 10, None, 0, 12 * 10**12)
    digits = en.usd_digits(picos)
    assert [en.usd(each, digits) for each in picos] == [
        "$0.025000", "$0.000700", "$0.000364", "–", "$0.00", "$12.000000",
    ]  # fmt: skip
    assert en.usd_digits([]) == 2
    assert en.usd(1, en.usd_digits([1])) == "$0.000000000001"


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(1_500, "1.5 ms"), (12_340, "12.3 ms"), (100_000, "100 ms"), (2_000_000, "2 s"),
     (61_000_000, "1 min 01 s"), (0, "0 ms")],
)  # fmt: skip
def test_durations_have_three_significant_digits(micros: int, shown: str) -> None:
    assert formats("en").duration(micros) == shown


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(1_500, "1.5 毫秒"), (2_000_000, "2 秒"), (768_000_000, "12 分 48 秒"),
     (7_500_000_000, "2 小时 05 分")],
)  # fmt: skip
def test_durations_are_in_the_language_of_the_viewer(micros: int, shown: str) -> None:
    assert formats("zh_CN").duration(micros) == shown


def test_every_locale_has_units_of_durations() -> None:
    assert set(DURATION_UNITS) == set(LOCALES)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.15", "$0.15"), ("3", "$3.00"), ("1.125", "$1.125"), ("0.07525", "$0.07525"),
     ("0", "$0.00")],
)  # fmt: skip
def test_prices_have_all_their_digits(amount: str, shown: str) -> None:
    assert formats("en").price_text(amount) == shown
    assert formats("zh_CN").price_text(amount) == shown.replace("$", "US$")


def test_times_name_the_day_in_the_language_of_the_viewer() -> None:
    noon_us = 1_795_003_200_000_000
    assert formats("en").time(noon_us) == "Nov 18 12:00:00"
    assert formats("zh_CN").time(noon_us) == "11月18日 12:00:00"
