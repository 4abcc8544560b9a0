"""A number in metadata beyond the range of doubles stays what the client wrote."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from producers.gateway.mapping.values import decoded, json_of, object_of
from producers.gateway.values.huge_numbers import quote_huge_numbers
from tracemill.texts import to_object_text, to_text

HUGE = ["1e309", "-1e309", "1E+400", "2.5e999", "9" * 310, "1" + "0" * 5_000, "1" * 400 + ".5"]
USUAL = ["1e308", "1e-999", "1e+30", "9" * 308, "0." + "0" * 400 + "1", "1.5", "0"]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def quoted() -> float:
    return REGISTRY.get_sample_value("tracemill_gateway_numbers_quoted_total") or 0.0


@pytest.mark.parametrize("number", HUGE)
def test_it_becomes_a_string_and_is_counted(number: str) -> None:
    before = quoted()
    text = f'{{"a": {number}, "b": [{number}, 1, "{number}"], "1e309": null}}'
    assert quote_huge_numbers(text.encode()).decode() == (
        f'{{"a": "{number}", "b": ["{number}", 1, "{number}"], "1e309": null}}'
    )
    assert quoted() == before + 2


@pytest.mark.parametrize("number", USUAL)
def test_other_numbers_stay(number: str) -> None:
    text = f'{{"a": {number}, "e": [-{number}]}}'.encode()
    assert quote_huge_numbers(text) == text


@given(JSON_VALUES, st.sampled_from(HUGE))
def test_nothing_else_of_a_text_changes(value: Any, number: str) -> None:
    text = json.dumps([value, "HUGE", value]).replace('"HUGE"', number)
    assert json.loads(quote_huge_numbers(text.encode())) == [value, number, value]


@pytest.mark.parametrize("read", [json_of, decoded, object_of])
def test_an_attribute_with_one_keeps_its_other_members(read: Any) -> None:
    assert read('{"a": 1e309, "b": [1, -1e400], "c": "x"}') == {
        "a": "1e309", "b": [1, "-1e400"], "c": "x",
    }  # fmt: skip


def test_a_long_text_takes_linear_time() -> None:
    text = b'{"a": "' + b"1" * 4_000_000 + b'", "b": [' + b"12e1," * 400_000 + b"1e309]}"
    assert quote_huge_numbers(text).endswith(b'"1e309"]}')


def test_the_sdk_names_what_json_cannot_represent() -> None:
    value = {"a": math.inf, "b": [-math.inf, 1.5, (math.nan,)], "c": {"d": 1}}
    named = '{"a":"Infinity","b":["-Infinity",1.5,["NaN"]],"c":{"d":1}}'
    assert to_object_text(value, 1_000) == named
    assert to_text(value, 1_000) == named
    assert to_text(math.inf, 1_000) == '"Infinity"'
