"""Amounts in US dollars that requests contain as texts."""

from __future__ import annotations

import pytest

from query_api.money import pico_of


@pytest.mark.parametrize(
    "amount", ["1e9999999", "-1e9999999", "1e999999999999999999", "1e-9999999", "1e15", "Infinity"]
)
def test_amounts_beyond_all_limits_are_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"10\^15|12 decimals|finite"):
        pico_of(amount)


def test_exponents_are_read_exactly() -> None:
    assert pico_of("1e-12") == 1
    assert pico_of("-1.5E2") == -150 * 10**12
