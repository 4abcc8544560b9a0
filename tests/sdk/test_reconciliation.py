"""Reported usage is reconciled into disjoint counts that add up."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracemill.contract import COUNT_MAX
from tracemill.reconciliation import Dialect, Reconciled, dialects, reconcile
from tracemill.reconciliation.plain import UsageReader

counts = st.integers(0, 10**6)
every_dialect = st.sampled_from(
    [found for found in vars(dialects).values() if isinstance(found, Dialect)]
)
names = st.sampled_from(
    [
        *("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens", "total_tokens"),
        *("cached_tokens", "cache_read_input_tokens", "prompt_tokens_details.cached_tokens"),
        *("cache_creation_input_tokens", "cache_creation.ephemeral_5m_input_tokens"),
        *("cache_creation.ephemeral_1h_input_tokens", "prompt_cache_miss_tokens"),
        *("thoughtsTokenCount", "toolUsePromptTokenCount", "completion_tokens_details.reasoning"),
        *("input_token_details.audio_tokens", "input_token_details.text_tokens"),
        *("cached_tokens_details.audio_tokens", "output_token_details.audio_tokens"),
        *("input_priority", "input_priority_cache_read", "output_flex", "web_search_requests"),
        *("input_token_details.novel_tokens", "rejected_prediction_tokens", "characters"),
    ]
)
usages = st.dictionaries(names, counts, max_size=10)
NOT_TOKENS = {"web_search_requests", "characters"}


def reconciled(usage: Mapping[str, Any], dialect: Dialect) -> Reconciled:
    return reconcile(usage.items(), dialect)


def tokens_of(found: Reconciled) -> int:
    beside = {"total", "web_search_requests", "characters"}
    return sum(count for name, count in found.counts.items() if name not in beside)


@given(usages, every_dialect)
def test_no_count_is_negative_and_the_total_is_their_sum(
    usage: dict[str, int], dialect: Dialect
) -> None:
    found = reconciled(usage, dialect)
    assert all(count >= 0 for count in found.counts.values())
    if "total" in found.counts and set(found.counts) - {"total", *NOT_TOKENS}:
        assert found.counts["total"] == tokens_of(found)


@given(usages, every_dialect, st.integers(0, 2**32))
def test_the_order_of_keys_changes_nothing(
    usage: dict[str, int], dialect: Dialect, seed: int
) -> None:
    shuffled = list(usage.items())
    Random(seed).shuffle(shuffled)
    assert reconcile(shuffled, dialect) == reconcile(usage.items(), dialect)


@given(usages, every_dialect, names)
def test_a_part_of_zero_changes_nothing(usage: dict[str, int], dialect: Dialect, name: str) -> None:
    without = {key: count for key, count in usage.items() if key != name}

    def positive(found: Reconciled) -> tuple[dict[str, int], str]:
        return {key: count for key, count in found.counts.items() if count}, found.uncertain

    with_zero = reconciled({**without, name: 0}, dialect)
    assert positive(with_zero) == positive(reconciled(without, dialect))


@given(usages, every_dialect)
def test_certain_tokens_add_up_to_the_reported_total(
    usage: dict[str, int], dialect: Dialect
) -> None:
    total = usage.get("total_tokens")
    found = reconciled(usage, dialect)
    sums = sum(
        max(usage.get(name, 0) for name in pair)
        for pair in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    )
    alone = not set(found.counts) - {"total", *NOT_TOKENS}
    if total and dialect.total_proves and not found.uncertain and not alone and total != sums:
        assert tokens_of(found) == total


@given(
    fresh=st.integers(1, 10**6),
    output=st.integers(1, 10**6),
    parts=st.tuples(*[st.integers(1, 10**6)] * 4),
    inside=st.tuples(*[st.booleans()] * 4),
    dialect=every_dialect,
)
def test_every_hypothesis_is_recovered_from_a_total_that_only_it_explains(
    fresh: int,
    output: int,
    parts: tuple[int, int, int, int],
    inside: tuple[bool, bool, bool, bool],
    dialect: Dialect,
) -> None:
    read, written, tool, thought = parts
    whole_input = fresh + sum(p for p, within in zip(parts[:3], inside, strict=False) if within)
    whole_output = output + (thought if inside[3] else 0)
    # A sum of parts that equals another sum of parts would be explained in two ways.
    differences = {sum(p for i, p in enumerate(parts) if mask >> i & 1) for mask in range(16)}
    usage = {
        "input_tokens": whole_input,
        "output_tokens": whole_output,
        "cached_tokens": read,
        "cache_creation_input_tokens": written,
        "tool_use_prompt_tokens": tool,
        "reasoning_tokens": thought,
        "total_tokens": fresh + output + sum(parts),
    }
    if len(differences) < 16 or not dialect.total_proves:
        return
    found = reconciled(usage, dialect._replace(names="canonical"))
    assert found == Reconciled(
        {
            "input": fresh,
            "output": output,
            "input_cached_tokens": read,
            "input_cache_creation": written,
            "input_tool_use_tokens": tool,
            "output_reasoning_tokens": thought,
            "total": fresh + output + sum(parts),
        }
    )


def test_a_total_that_no_reading_explains_is_uncertain() -> None:
    found = reconciled(
        {"input_tokens": 10, "output_tokens": 5, "total_tokens": 20}, dialects.OPENAI
    )
    assert found.counts == {"input": 10, "output": 5, "total": 15}
    assert found.uncertain == "total is 20, but the counts add up to 15"


@pytest.mark.parametrize("dialect", [dialects.GEN_AI, dialects.OPENAI, dialects.ANTHROPIC])
def test_more_cached_tokens_than_input_are_beside_it(dialect: Dialect) -> None:
    found = reconciled(
        {"input_tokens": 60, "cache_read_input_tokens": 1000, "output_tokens": 100},
        dialect._replace(names="canonical"),
    )
    assert found.counts == {"input": 60, "input_cached_tokens": 1000, "output": 100}
    assert not found.uncertain


@given(usages, every_dialect)
def test_a_reader_of_fixed_names_gives_the_same(usage: dict[str, int], dialect: Dialect) -> None:
    reader = UsageReader([(f"usage.{name}", name) for name in usage], dialect)
    values = {f"usage.{name}": count for name, count in usage.items()}
    expected = reconciled(usage, dialect) if usage else None
    assert (reader.read(values) or Reconciled({})) == (expected or Reconciled({}))


@given(
    st.dictionaries(names, st.integers(0, COUNT_MAX), max_size=10)
    | st.dictionaries(names, st.just(COUNT_MAX), max_size=10),
    every_dialect,
)
def test_no_count_exceeds_the_maximum_of_the_contract(
    usage: dict[str, int], dialect: Dialect
) -> None:
    reader = UsageReader([(name, name) for name in usage], dialect)
    found = reconciled(usage, dialect)
    assert (reader.read(usage) or Reconciled({})) == found
    assert all(0 <= count <= COUNT_MAX for count in found.counts.values())
