"""Amounts, times and texts keep their values when they are parsed and formatted."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api import cursors
from query_api.json_texts import members, shown
from query_api.langfuse.shapes.observation_v2 import observation_v2
from query_api.money import pico_of, usd_number, usd_text
from query_api.store.rows import StoredObservation
from query_api.times import instant_us, iso
from query_api.usage import cost_details, legacy_usage, usage_details
from query_api.v1.query_bodies import QueryBody

EARLIEST_US, LATEST_US = (
    instant_us("1900-01-01T00:00:00Z"),
    instant_us("2299-12-31T23:59:59.999999Z"),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(st.integers(-(2**63), 2**63))
def test_an_amount_survives_being_written(pico: int) -> None:
    text = usd_text(pico)
    assert pico_of(text) == pico
    assert Decimal(text) * 10**12 == pico
    assert "e" not in text.lower()
    assert usd_number(pico) == float(Decimal(text))


@pytest.mark.parametrize(
    "text", ["", "x", "NaN", "Infinity", "1e15", "0.0000000000001", "1,5", "--1"]
)
def test_an_invalid_amount_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|number|decimals|10\^15"):
        pico_of(text)


@given(st.integers(EARLIEST_US, LATEST_US))
def test_an_instant_survives_being_written(at_us: int) -> None:
    assert instant_us(iso(at_us)) == at_us
    assert iso(at_us).endswith("Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00.000Z"),
        ("2026-11-21T13:00:00+01:00", "2026-11-21T12:00:00.000Z"),
        ("2026-11-21T13:00:00 01:00", "2026-11-21T12:00:00.000Z"),
        ("2026-11-21T12:00:00.5Z", "2026-11-21T12:00:00.500Z"),
        ("2026-11-21T12:00:00.123456789Z", "2026-11-21T12:00:00.123456Z"),
        ("20261121T120000Z", "2026-11-21T12:00:00.000Z"),
    ],
)
def test_instants_are_understood_with_any_offset(text: str, expected: str) -> None:
    assert iso(instant_us(text)) == expected


@given(json_values)
def test_a_json_text_is_shown_as_its_value_unless_it_is_a_number(value: object) -> None:
    text = json.dumps(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    assert json.loads(msgspec.json.encode(shown(text))) == (text if is_number else value)


@given(st.text())
def test_any_text_is_shown_as_itself_or_as_the_json_it_is(text: str) -> None:
    answer = json.loads(msgspec.json.encode({"shown": shown(text), "members": members(text)}))
    try:
        value = json.loads(text)
    except ValueError:
        value = text or None
    if isinstance(value, float):
        return  # NaN and infinities are JSON to Python alone
    assert answer["shown"] in (value, text)
    assert isinstance(answer["members"], dict)


def test_metadata_that_is_no_object_becomes_a_member() -> None:
    def of(text: str) -> object:
        return json.loads(msgspec.json.encode(members(text)))

    assert of("") == {}
    assert of('{"a":{"b":[1]}}') == {"a": {"b": [1]}}
    assert of("[1,2]") == {"metadata": [1, 2]}
    assert of("plain") == {"metadata": "plain"}


def test_older_fields_of_usage_are_sums_by_name() -> None:
    usage = {"input": 10, "input_cached_tokens": 5, "output": 3, "images": 2}
    details = usage_details(usage)
    assert details["total"] == 20
    legacy = legacy_usage(usage, details)
    assert (legacy.input, legacy.output, legacy.total) == (15, 3, 20)
    assert usage_details({"input": 1, "total": 9}) == {"input": 1, "total": 9}
    assert usage_details({}) == {}


def test_a_cost_always_has_a_total() -> None:
    def told(cost_pico: dict[str, int], total_pico: int) -> dict[str, float]:
        row = StoredObservation(
            project_id="p", trace_id="t", id="o", start_us=0, row_version=1,
            cost_pico=cost_pico, total_cost_pico=total_pico,
        )  # fmt: skip
        return cost_details(row)

    assert told({"input": 10**9}, 3 * 10**9) == {"input": 0.001, "total": 0.003}
    assert told({}, 10**12) == {"total": 1.0}
    assert told({}, 0) == {}


class _Keys(msgspec.Struct):
    keys: list[str]


def test_a_cursor_with_long_keys_is_read_again() -> None:
    cursor = _Keys(["é" * 5_000, "z" * 5_000])
    text = cursors.encode(cursor)
    assert cursors.decode(text, _Keys) == cursor
    assert QueryBody(measures=["count"], cursor=text).cursor == text


def test_long_members_of_metadata_are_cut_whatever_they_contain() -> None:
    numbers = f"[1e999{',1' * 200}]"
    given = {"numbers": numbers, "text": "é" * 300, "short": "[1e999]"}
    row = StoredObservation(
        project_id="p", trace_id="t", id="o", start_us=0, row_version=1,
        metadata=json.dumps(given),
    )  # fmt: skip
    found = observation_v2(row, None, frozenset({"metadata"}), frozenset())
    written = msgspec.json.encode(found.metadata).decode()
    assert written.startswith(f'{{"numbers":"{numbers[:200]}","text":"{"é" * 200}"')
    assert written.endswith('"short":[1e999]}')
