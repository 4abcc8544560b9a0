"""Windows count first tokens, token rates, missing prices, errors by class, and caches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streams.core.observations.effects import Effects
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.savings import fresh_unit_of
from streams.core.pricing.valuation import NoTokens, price_row
from streams.core.rollups.deltas import WindowDelta
from streams.core.rollups.sketch import key_of
from tests.clickhouse.rows_for_tests import observation as row_of
from tests.streams.stage1.stage1_folding import NOW_US, Folding, last_row, observation
from tracemill.contract import COST_MAX_PICO

USAGE = {"input": 100, "output": 30, "output_reasoning_tokens": 20}


def call(id_: str = "o", ts: int = 0, **said: object):
    """A call of 2 seconds."""
    given = {"type": "GENERATION", "start_us": NOW_US, "end_us": NOW_US + 2_000_000}
    return observation(id_, ts, **(given | said))


def window(effects: Effects) -> WindowDelta:
    (delta,) = effects.deltas
    (found,) = delta.windows
    return found


def test_a_call_counts_its_time_to_the_first_token_and_its_output_tokens_per_second() -> None:
    counted = window(
        Folding().fold(call(usage=USAGE, model="m", completion_start_us=NOW_US + 500_000))
    )
    assert counted.ttft_bins == {key_of(500_000): 1}
    assert counted.rate_bins == {key_of(25_000): 1}  # 50 tokens in 2 seconds: 25 per second × 1,000
    assert counted.trace_id == "t"
    assert (counted.window_s * 1_000_000, counted.window_s % 10) == (NOW_US, 0)


def test_a_call_is_counted_by_its_type_level_prompt_provider_and_tier() -> None:
    counted = window(
        Folding().fold(
            call(prompt_name="greeting", prompt_version=3, provider="Azure", service_tier="flex")
        )
    )
    dimensions = (counted.type, counted.level, counted.prompt_name, counted.prompt_version)
    assert dimensions == ("GENERATION", "DEFAULT", "greeting", "3")
    assert (counted.provider, counted.service_tier) == ("azure", "flex")


def test_errors_are_counted_by_class_and_missing_prices_are_counted() -> None:
    counted = window(
        Folding().fold(
            call("a", level="ERROR", error_type="RateLimitError"),
            call("b", level="ERROR"),
        )
    )
    assert counted.error_types == {"RateLimitError": 1, "unknown": 1}
    unpriced = window(Folding().fold(call(model="of nobody", usage=USAGE)))
    assert unpriced.unpriced == 1


def test_the_error_classes_of_a_window_are_limited_and_their_sum_is_exact() -> None:
    folding = Folding()
    errors = [call(f"o{n}", level="ERROR", error_type=f"E{n}") for n in range(100)]
    counted = window(folding.fold(*errors))
    assert sum(counted.error_types.values()) == counted.errors == 100
    assert len(counted.error_types) <= 33


def test_a_hit_of_an_application_cache_costs_nothing_and_saves_the_price_of_the_call() -> None:
    folding = Folding()
    effects = folding.fold(call(model="m", usage={"input": 10}, app_cache="semantic"))
    counted = window(effects)
    assert (counted.cost_pico, counted.cache_semantic, counted.app_saved_pico) == (0, 1, 30)
    assert last_row(effects).cache_saved_pico == 30
    corrected = folding.fold(call(ts=1, model="m", usage={"input": 10}, app_cache="miss"))
    back = window(corrected)
    assert (back.cost_pico, back.cache_semantic, back.app_saved_pico) == (30, -1, -30)
    assert back.cache_miss == 1


def test_a_cost_that_the_client_states_for_a_hit_counts_and_reduces_the_saving() -> None:
    counted = window(
        Folding().fold(call(model="m", usage={"input": 10}, cost={"total": 4}, app_cache="exact"))
    )
    assert (counted.cost_pico, counted.cache_exact, counted.app_saved_pico) == (4, 1, 26)


def test_a_hit_without_a_known_price_saves_nothing_that_is_known_and_lacks_no_price() -> None:
    counted = window(
        Folding().fold(call(model="of nobody", usage={"input": 10}, app_cache="exact"))
    )
    assert (counted.cache_exact, counted.app_saved_pico, counted.unpriced) == (1, 0, 0)


@pytest.mark.parametrize(
    ("usage", "saved_pico"),
    [
        # claude-sonnet-4-5, picodollars per token: input 3 million, read 0.3, write 3.75, 1 h 6.
        ({"input": 10, "cache_read_input_tokens": 1_000}, 1_000 * 2_700_000),
        ({"input": 10, "cache_creation_input_tokens": 1_000}, -1_000 * 750_000),
        (
            {"cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 100},
            1_000 * 2_700_000 - 100 * 750_000,
        ),
        ({"input": 1_000, "output": 50}, 0),
    ],
)
def test_a_prompt_cache_saves_the_price_of_fresh_input_minus_what_was_paid(
    usage: dict[str, int], saved_pico: int
) -> None:
    for given in ({}, {"total": 7}):
        row = row_of(
            model="claude-sonnet-4-5", provided_usage=dict(usage), provided_cost_pico=given
        )
        assert price_row(row, PriceBook(), NoTokens())
        assert row.cache_saved_pico == saved_pico
        assert (row.provider, row.provider_derived) == ("anthropic", 1)


@pytest.mark.parametrize(
    ("usage_type", "unit"),
    [
        ("input_cached_tokens", "input"),
        ("cache_creation_ephemeral_1h_input_tokens", "input"),
        ("cached_audio_tokens", "input_audio"),
        ("input", ""),
        ("output", ""),
        ("total", ""),
        ("anything", ""),
    ],
)
def test_cached_tokens_are_compared_with_fresh_ones_of_the_same_modality(
    usage_type: str, unit: str
) -> None:
    assert fresh_unit_of(usage_type) == unit


def test_an_absurd_saving_is_limited_like_a_cost() -> None:
    price = SimpleNamespace(
        id="p", project_id=None, name="m", match="m", matching="whole_name", effective_from_us=0,
        prices={"input": 10**12, "cache_read": 0}, tiers=(), created_us=1,
    )  # fmt: skip
    row = row_of(model="m", provided_usage={"cache_read_input_tokens": 10**9})
    assert price_row(row, PriceBook(records=[price]), NoTokens())
    assert (row.total_cost_pico, row.cache_saved_pico) == (0, COST_MAX_PICO)
