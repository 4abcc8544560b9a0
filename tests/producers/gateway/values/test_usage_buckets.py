"""Usage of every client's shape in buckets that do not overlap."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.gateway.mapping.origin import Dialect
from producers.gateway.mapping.sources import Shape
from producers.gateway.mapping.token_counts import Counts
from producers.gateway.otlp import ExportedSpan
from producers.gateway.values.usage import (
    TYPES_MAX,
    cost_of_object,
    usage_of_json,
    usage_of_object,
    usage_of_older_object,
)
from producers.usage_units import TOKEN_UNITS, unit_of
from tests.producers.gateway.conftest import times_reached
from tracemill.contract import COUNT_MAX


def buckets_of(usage: Any) -> dict[str, int]:
    return usage_of_object(usage).counts


def buckets_of_json(text: str) -> dict[str, int]:
    return usage_of_json(text).counts


def buckets_of_older(usage: Any) -> tuple[dict[str, int], dict[str, int]]:
    found, costs = usage_of_older_object(usage)
    return found.counts, costs


def buckets_of_attributes(counts: dict[str, int]) -> dict[str, int]:
    source = Counts(("usage.",), frozenset())
    attributes = {f"usage.{name}": count for name, count in counts.items()}
    reader = source.bind(Shape(Dialect(), tuple(attributes)))
    span = ExportedSpan("t", "s", None, "call", 0, 0, attributes, [])
    return reader.read(span).counts


counts = st.integers(0, 10**8)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
shape_keys = st.sampled_from(
    [
        *("input", "output", "total", "prompt_tokens", "input_tokens", "completion_tokens"),
        *("prompt_tokens_details", "output_tokens_details", "cache_creation", "server_tool_use"),
        *("cachedInputTokens", "candidatesTokensDetails", "thoughtsTokenCount", "reasoningTokens"),
    ]
)


def buckets_sum(usage: dict[str, int]) -> int:
    return sum(count for bucket, count in usage.items() if bucket != "total")


@given(prompt=counts, completion=counts, details=st.lists(counts, min_size=7, max_size=7))
def test_the_buckets_of_an_openai_usage_never_exceed_its_total(
    prompt: int, completion: int, details: list[int]
) -> None:
    cached, audio, text, reasoning, accepted, rejected, spoken = details
    usage = buckets_of(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "audio_tokens": audio,
                "text_tokens": text,
            },
            "completion_tokens_details": {
                "reasoning_tokens": reasoning,
                "accepted_prediction_tokens": accepted,
                "rejected_prediction_tokens": rejected,
                "audio_tokens": spoken,
            },
        }
    )
    assert buckets_sum(usage) == usage.get("total", buckets_sum(usage))
    fits = (
        0 < text + audio + cached <= prompt
        and 0 < reasoning + accepted + rejected + spoken <= completion
    )
    if fits:
        assert buckets_sum(usage) == prompt + completion


@given(
    parts=st.lists(counts, min_size=6, max_size=6),
    names=st.sampled_from(
        [
            ("input_tokens", "cache_read.input_tokens", "cache_creation.input_tokens"),
            ("prompt", "prompt_details.cache_read", "prompt_details.cache_write"),
            ("prompt_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            ("input_tokens", "details.cache_read_tokens", "details.cache_write_tokens"),
        ]
    ),
)
def test_counted_attributes_that_include_their_parts_are_counted_once(
    parts: list[int], names: tuple[str, str, str]
) -> None:
    fresh, cached, written, said, thought, spoken = parts
    total = sum(parts)
    usage = buckets_of_attributes(
        {
            names[0]: fresh + cached + written,
            names[1]: cached,
            names[2]: written,
            "completion_tokens": said + thought + spoken,
            "completion_details.reasoning": thought,
            "completion_details.audio": spoken,
            "details.text_prompt_tokens": fresh,
            "total_tokens": total,
        }
    )
    assert buckets_sum(usage) == total
    expected = {
        "input": fresh,
        "output": said,
        "total": total,
        "input_cached_tokens": cached,
        "input_cache_creation": written,
        "output_reasoning_tokens": thought,
        "output_audio_tokens": spoken,
    }
    assert {name: count for name, count in usage.items() if count} == {
        name: count for name, count in expected.items() if count
    }


@settings(max_examples=60)
@given(st.dictionaries(shape_keys | st.text(max_size=10), anything, max_size=8))
def test_no_usage_object_makes_it_raise_or_count_below_zero(obj: dict[str, Any]) -> None:
    usage, costs = buckets_of_older(obj)
    for found in (usage, buckets_of(obj)):
        assert all(type(n) is int and 0 <= n <= COUNT_MAX for n in found.values())
        assert all(isinstance(name, str) for name in found)
    assert all(pico >= 0 for pico in (costs | cost_of_object(obj)).values())


@given(st.dictionaries(st.text(max_size=10), st.integers(0, COUNT_MAX), max_size=5))
def test_the_fast_path_through_json_gives_the_same(obj: dict[str, int]) -> None:
    assert buckets_of_json(msgspec.json.encode(obj).decode()) == buckets_of(obj)


@pytest.mark.parametrize("text", ["", "[1]", "{", '"x"', "null", "[" * 5000])
def test_usage_that_is_no_json_object_is_none(text: str) -> None:
    assert buckets_of_json(text) == {}


def test_parts_that_exceed_their_sum_are_beside_it() -> None:
    beside = {"input": 10, "input_cached_tokens": 30}
    details = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 30}}
    assert buckets_of(details) == beside
    assert buckets_of_attributes({"input_tokens": 10, "cache_read_input_tokens": 30}) == beside


def test_details_without_their_sum_stand_for_themselves() -> None:
    assert buckets_of({"prompt_tokens_details": {"cached_tokens": 3}}) == {"input_cached_tokens": 3}


def test_deepseek_counts_cache_hits_into_the_prompt() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "total_tokens": 109,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    assert buckets_of(usage) == {
        "input": 36,
        "output": 9,
        "total": 109,
        "input_cached_tokens": 64,
    }


def test_the_older_usage_object_has_costs() -> None:
    assert buckets_of_older(
        {
            "input": 10,
            "output": 5,
            "total": 15,
            "unit": "TOKENS",
            "inputCost": 0.1,
            "outputCost": 0,
            "totalCost": "0.1",
        }
    ) == (
        {"input": 10, "output": 5, "total": 15},
        {"input": 10**11, "output": 0, "total": 10**11},
    )
    assert buckets_of_older({"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}) == (
        {"input": 1, "output": 2, "total": 3},
        {},
    )
    assert buckets_of_older(None) == ({}, {})
    assert buckets_of_older({"input": 1, "unit": None}) == ({"input": 1}, {})


@pytest.mark.parametrize("unit", ["CHARACTERS", "MILLISECONDS", "SECONDS", "IMAGES", "REQUESTS"])
def test_what_is_not_counted_in_tokens_is_not_priced_as_tokens(unit: str) -> None:
    name = unit.lower()
    usage, _ = buckets_of_older({"input": 10, "output": 5, "total": 15, "unit": unit})
    assert usage == {f"input_{name}": 10, f"output_{name}": 5}
    assert not {unit_of(bucket) for bucket in usage} & (TOKEN_UNITS | {"total"})

    alone, _ = buckets_of_older({"total": 15, "unit": unit})
    assert alone == {name: 15}
    assert not {unit_of(bucket) for bucket in alone} & (TOKEN_UNITS | {"total"})


def test_the_number_and_length_of_usage_types_are_bounded() -> None:
    before = times_reached("usage_types_max")
    usage = buckets_of({f"type {n}": 1 for n in range(TYPES_MAX + 50)})
    assert len(usage) == TYPES_MAX
    assert times_reached("usage_types_max") == before + 1
    assert buckets_of({"x" * 1000: 1}) == {}
