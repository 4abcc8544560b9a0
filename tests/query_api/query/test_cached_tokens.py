"""Cached tokens have many names, which two measures add up."""

import re
from typing import Any

import pytest

from producers.usage_units import INPUT_TOKEN_UNITS, cache_pattern, unit_of
from tests.query_api.harness import Api, observation, trace

USAGES: tuple[dict[str, int], ...] = (
    {"input": 1, "input_cached_tokens": 10, "input_cache_creation": 1_000},
    {"input": 2, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 2_000},
    {"input": 4, "cacheReadInputTokens": 40, "input_cache_creation_1h": 4_000, "cached": 5},
    {"input": 8},
)


@pytest.mark.parametrize("view", ["observations", "traces"])
async def test_cached_tokens_are_added_up_whatever_their_names(api: Api, view: str) -> None:
    await api.insert(
        *(observation("t1", f"o{at}", usage=each) for at, each in enumerate(USAGES)),
        trace("t1", usage={name: count for each in USAGES for name, count in each.items()}),
    )
    measures = ["tokens.cache_read", "tokens.cache_write", "tokens.input_cached_tokens"]
    body: dict[str, Any] = {
        "view": view, "measures": measures,
        "group_by": ["trace_id" if view == "observations" else "id"],  # not from windows
        "from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    answer = await api.client.post("/v1/query", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["values"] == {
        "tokens.cache_read": 75, "tokens.cache_write": 7_000, "tokens.input_cached_tokens": 10,
    }  # fmt: skip
    assert answer.json()["meta"]["warnings"] == []


async def test_a_type_of_tokens_that_no_call_has_is_named(api: Api) -> None:
    await api.insert(observation("t1", "o1", usage={"input": 8}))
    body = {
        "measures": ["tokens.input", "tokens.inptu", "tokens.inptu.avg"],
        "group_by": ["trace_id"],
        "from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    answer = (await api.client.post("/v1/query", json=body)).json()
    assert answer["meta"]["warnings"] == [
        f"{name} has no value in any row: no call that was read has tokens of this type"
        for name in ("tokens.inptu", "tokens.inptu.avg")
    ]


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize(
    "name",
    [
        "cached_tokens", "gen_ai.usage.cache_read.input_tokens", "cachedContentTokenCount",
        "cache_write_1h", "input_token_details.cache_creation", "input_tokens_details.cached",
        "cache_audio_read", "input", "prompt_tokens", "output_reasoning", "input_cached_seconds",
    ],
)  # fmt: skip
def test_the_pattern_of_a_kind_agrees_with_the_prices(kind: str, name: str) -> None:
    unit = unit_of(name) or ""
    is_of_kind = unit in INPUT_TOKEN_UNITS and unit.startswith("cache") and f"_{kind}" in unit
    assert bool(re.search(cache_pattern(kind), name)) == is_of_kind
