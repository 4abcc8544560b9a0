"""Calls in a service tier that the price list lacks have the standard price, and are marked."""

from __future__ import annotations

from streams.core.observations.bounding import Bounds
from streams.core.observations.merge import merged_of_whole_row
from streams.core.pricing.price_book import PriceBook
from tests.streams.stage1.stage1_folding import Folding, last_row, observation

NOTE = "the service tier 'flex' has no price: the standard price is used"
GEMINI = {"type": "GENERATION", "model": "gemini-2.5-flash", "usage": {"input": 1000, "output": 10}}


def priced_by_the_shipped_list() -> Folding:
    folding = Folding()
    folding.core.use_prices(PriceBook())
    return folding


def test_a_tier_without_a_price_is_marked_and_one_with_a_price_is_not() -> None:
    folding = priced_by_the_shipped_list()
    row = last_row(folding.fold(observation("a", service_tier="flex", **GEMINI)))
    standard = last_row(folding.fold(observation("b", **GEMINI)))
    assert (row.usage_uncertain, standard.usage_uncertain) == (NOTE, "")
    assert row.total_cost_pico == standard.total_cost_pico > 0
    for tier in ("default", "standard", "on_demand"):
        row = last_row(folding.fold(observation(tier, service_tier=tier, **GEMINI)))
        assert row.usage_uncertain == ""
    gpt = {**GEMINI, "model": "gpt-5-mini"}
    row = last_row(folding.fold(observation("d", service_tier="flex", **gpt)))
    assert row.usage_uncertain == ""


def test_the_mark_is_written_once_however_often_the_observation_changes() -> None:
    folding = priced_by_the_shipped_list()
    reported = {**GEMINI, "usage_uncertain": "total is 9"}
    folding.fold(observation("a", partial=True, service_tier="flex", **reported))
    row = last_row(folding.fold(observation("a", 1, partial=True, name="later")))
    assert row.usage_uncertain == f"total is 9; {NOTE}"
    row = last_row(folding.fold(observation("a", 2, partial=True, service_tier="default")))
    assert row.usage_uncertain == "total is 9"


def test_the_mark_is_not_taken_for_something_that_was_reported() -> None:
    row = last_row(
        priced_by_the_shipped_list().fold(observation("a", service_tier="flex", **GEMINI))
    )
    merged = merged_of_whole_row(row, "rank", Bounds())
    assert "usage_uncertain" not in merged.latest
