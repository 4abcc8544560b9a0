"""Formulas give the results of exact arithmetic, and errors name the position."""

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.query.formulas import DEPTH_MAX, LENGTH_MAX, Formula, FormulaError

VALUES = {"cost": Decimal("1.5"), "traces": Decimal(4), "zero": Decimal(0), "none": None}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("cost / traces", 0.375),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 3 / 2", 2),
        ("-cost + 2", 0.5),
        ("--traces", 4),
        ("2 * -traces", -8),
        ("cost / zero", None),
        ("zero / zero + 1", None),
        ("none + 1", None),
        ("0.1 + 0.2", 0.3),
    ],
)
def test_a_formula_follows_the_usual_precedence(text: str, result: float | None) -> None:
    assert Formula(text).value(VALUES) == result


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0), ("cost /", 6), ("cost traces", 5), ("(cost", 5), ("cost)", 4), ("1 ** 2", 3),
        ("cost ^ 2", 5), ("cöst", 1), ("1e5", 1), ("()", 1), ("1 +  ;", 5), ("cost, traces", 4),
        ("x" * (LENGTH_MAX + 1), LENGTH_MAX), ("(" * (DEPTH_MAX + 1) + "1", DEPTH_MAX),
        ("-" * (DEPTH_MAX + 1) + "1", DEPTH_MAX), ("1" * 19, 18),
    ],
)  # fmt: skip
def test_an_error_names_the_position(text: str, position: int) -> None:
    with pytest.raises(FormulaError) as refused:
        Formula(text)
    assert refused.value.position == position


def test_names_are_listed_with_their_positions() -> None:
    formula = Formula("tokens.cache_read / (latency_ms.p99.9 + tokens.cache_read)")
    assert formula.names == {"tokens.cache_read": 0, "latency_ms.p99.9": 21}


numbers = st.integers(0, 10**6).map(str)
formulas = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
        inner.map(lambda x: f"-{x}"),
    ),
    max_leaves=8,
)


@given(formulas)
def test_arithmetic_is_exact(text: str) -> None:
    expected = eval(text, {}, {})  # digits and operators only
    assert Formula(text).value({}) == float(Fraction(expected))


@given(st.text(st.sampled_from("+-*/().1a \u0660\n"), max_size=40))
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    with suppress(FormulaError):
        Formula(text)
