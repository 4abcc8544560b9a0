"""Prices of projects and of the installation come before those of the list."""

from __future__ import annotations

import pytest

from streams.core.pricing.price_book import PriceBook
from tests.streams.pricing.price_records_for_tests import NOW_US, Record, Tier


def test_a_projects_price_outranks_one_for_all_which_outranks_the_list() -> None:
    book = PriceBook().with_prices(
        [
            Record("all", "gpt-4o", {"input": 7}),
            Record("own", "gpt-4o", {"input": 5}, project_id="mine"),
        ]
    )
    costs = {
        who: book.cost_of(who, "gpt-4o", {"input": 1}, NOW_US).price_id for who in ("mine", "other")
    }
    assert costs == {"mine": "own", "other": "all"}
    assert (
        book.cost_of("mine", "gpt-4o-mini", {"input": 1}, NOW_US).price_id == "openai/gpt-4o-mini"
    )


def test_a_projects_price_replaces_the_listed_one_as_a_whole() -> None:
    book = PriceBook().with_prices([Record("r", "gpt-4o", {"input": 5, "output": 6})])
    usage = {"input": 1, "cache_read": 1, "output_reasoning": 1, "web_searches": 1}
    priced = book.cost_of("p", "gpt-4o", usage, NOW_US)
    assert priced.cost == {"input": 5, "cache_read": 5, "output_reasoning": 6}
    assert priced.unpriced == ("web_searches",)


def test_the_most_specific_match_wins_then_the_latest_that_is_in_force() -> None:
    book = PriceBook().with_prices(
        [
            Record("wide", "acme-.*", {"input": 1}),
            Record("narrow", "acme-large(-v\\d+)?", {"input": 2}),
            Record("narrow-next", "acme-large(-v\\d+)?", {"input": 3}, effective_from_us=NOW_US),
        ]
    )
    ids = [
        book.cost_of("p", model, {"input": 1}, at).price_id
        for model, at in (
            ("acme-small", NOW_US),
            ("ACME-large-v2", NOW_US - 1),
            ("acme-large", NOW_US),
        )
    ]
    assert ids == ["wide", "narrow", "narrow-next"]


def test_a_price_that_is_not_in_force_yet_is_ignored() -> None:
    book = PriceBook().with_prices(
        [Record("later", "gpt-4o", {"input": 1}, effective_from_us=NOW_US + 1)]
    )
    assert book.cost_of("p", "gpt-4o", {"input": 1}, NOW_US).price_id == "openai/gpt-4o"


def test_a_projects_tiers_apply_by_length_and_service_tier() -> None:
    tiers = (
        Tier({"input": 3}, input_above=100, service_tiers=("flex",)),
        Tier({"input": 4}, input_above=100),
        Tier({"input": 5}, service_tiers=("flex", "batch")),
    )
    book = PriceBook().with_prices([Record("r", "m", {"input": 2, "output": 9}, tiers=tiers)])

    def price(count: int, parameters: str = "") -> int:
        return book.cost_of("p", "m", {"input": count}, NOW_US, parameters).total_pico // count

    flex = '{"service_tier":"flex"}'
    assert [price(100), price(101), price(100, flex), price(101, flex)] == [2, 4, 5, 3]


def test_a_project_may_price_usage_types_of_its_own() -> None:
    book = PriceBook().with_prices([Record("r", "robot", {"steps": 8})])
    assert book.cost_of("p", "robot", {"steps": 2}, NOW_US).cost == {"steps": 16}


def test_an_absurdly_long_model_name_is_unknown() -> None:
    book = PriceBook().with_prices([Record("r", ".*", {"input": 1})])
    assert not book.cost_of("p", "gpt-4o" * 1_000, {"input": 1}, NOW_US).has_price


def test_the_youngest_of_equal_prices_applies() -> None:
    records = [
        Record("p2", "acme-1", {"input": 2}, created_us=1),
        Record("p1", "acme-1", {"input": 3}, created_us=2),
    ]
    assert PriceBook(records=records).cost_of("p", "acme-1", {"input": 1}, NOW_US).total_pico == 3


def test_a_pattern_can_be_found_in_a_part_of_a_name() -> None:
    record = Record("p1", "acme-[0-9]", {"input": 2}, matching="part")
    book = PriceBook(records=[record])
    assert book.cost_of("p", "ft:acme-1:x", {"input": 1}, NOW_US).total_pico == 2
    assert not book.cost_of("p", "ACME-1", {"input": 1}, NOW_US).has_price


@pytest.mark.parametrize("pattern", [r"(a)\1", "gpt-4o(?!-mini).*", "(", "a{,3}", "(a{999}){999}"])
def test_an_older_record_with_an_invalid_pattern_is_ignored_and_the_others_are_used(
    pattern: str,
) -> None:
    bad, good = Record("bad", pattern, {"input": 7}), Record("good", "acme-.*", {"input": 3})
    book = PriceBook().with_prices([bad, good])
    assert list(book.ignored) == ["bad"]
    assert book.ignored["bad"].startswith("match: ")
    assert book.cost_of("p", "acme-1", {"input": 1}, NOW_US).price_id == "good"
    assert book.cost_of("p", "gpt-4o", {"input": 1}, NOW_US).price_id == "openai/gpt-4o"
    assert book.with_prices([good]).ignored == {}


def test_a_changed_record_prices_by_its_new_version() -> None:
    book = PriceBook().with_prices([Record("p1", "acme", {"input": 1})])
    changed = book.with_prices([Record("p1", "acme", {"input": 2})])
    assert changed.cost_of("p", "acme", {"input": 1}, NOW_US).total_pico == 2
    assert book.cost_of("p", "acme", {"input": 1}, NOW_US).total_pico == 1


def test_names_of_any_characters_are_matched() -> None:
    book = PriceBook(records=[Record("p1", "acme.*", {"input": 1})])
    assert book.cost_of("p", "acme-\ud800", {"input": 1}, NOW_US).has_price
