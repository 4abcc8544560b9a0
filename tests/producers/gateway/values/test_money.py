"""USD amounts as picodollars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.values.money import pico_of_usd
from producers.money import PICO_PER_USD
from tracemill.contract import COST_MAX_PICO


@pytest.mark.parametrize(
    ("amount", "pico"),
    [
        (0, 0),
        (1, 10**12),
        ("0.10", 10**11),
        (0.1, 10**11),
        (0.1 + 0.2, 300_000_000_000),
        (1e-12, 1),
        ("0.0000000000005", 0),
        ("0.0000000000015", 2),
        ("0.00000000000050000000000000000001", 1),
        ("1e-7", 100_000),
        (Decimal("100000.000000000000"), COST_MAX_PICO),
        ("-0", 0),
        (" 2 ", 2 * 10**12),
    ],
)
def test_amounts_are_exact_to_the_picodollar_and_halves_go_to_even(amount: Any, pico: int) -> None:
    assert pico_of_usd(amount) == pico


@pytest.mark.parametrize(
    "amount",
    [
        *(None, True, [], {}, b"1", "", "x", "NaN", "Infinity", "-Infinity", "sNaN", "1e999999"),
        *(float("nan"), float("inf"), float("-inf"), -1, -0.5, "-1e-12", 10**30, "9" * 65),
        "9223372.036854775808",
    ],
)
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    assert pico_of_usd(amount) is None


@given(st.integers(0, COST_MAX_PICO))
def test_decimal_strings_survive_the_way_there_and_back(pico: int) -> None:
    assert pico_of_usd(str(Decimal(pico) / PICO_PER_USD)) == pico


@given(st.floats() | st.text() | st.integers() | st.decimals())
def test_nothing_makes_it_raise(amount: Any) -> None:
    pico = pico_of_usd(amount)
    assert pico is None or 0 <= pico <= COST_MAX_PICO
