"""An explanation says which price applies and why, with the amounts that are billed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.control.kinds.price import Price, PriceTier
from streams.core.pricing.explanation import APPLIES, Explanation, explain
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.price_defaults import default_prices
from tracemill.reconciliation import reconcile_object

NOW_US = 1_796_000_000_000_000
DAY_US = 86_400_000_000
BOOK = PriceBook()


def price(
    id_: str, match: str, project: str | None = "p", from_us: int = 0, **prices: int
) -> Price:
    return Price(
        id=id_, project_id=project, match=match, effective_from_us=from_us, prices=prices,
        tiers=(PriceTier(input_above=100, prices={"input": 9}),
               PriceTier(service_tiers=("flex",), prices={"input": 1})),
    )  # fmt: skip


OWN = BOOK.with_prices(
    [
        price("broad", "gpt.*", input=5, output=7),
        price("exact", "gpt-4o", input=6),
        price("later", "gpt-4o", from_us=NOW_US + DAY_US, input=8),
        price("house", "gpt-4o|acme", project=None, input=4),
        price("other", "gpt-4o", project="q", input=3),
    ]
)


def explained(
    model: str, book: PriceBook = BOOK, at_us: int = NOW_US, tier: str = "", **usage: object
) -> Explanation:
    return explain(book, "p", model, usage, at_us, "", tier)


def test_the_price_of_a_shipped_model_is_shown_with_its_source_and_the_reading_of_its_name():
    found = explained("litellm:openai/gpt-4o-2024-08-06:nitro", input=1000, output=100)
    assert found.price is not None
    assert (found.price.id, found.price.origin, found.price.match, found.price.matching) == (
        "openai/gpt-4o", "shipped", "gpt-4o-2024-08-06", "name",
    )  # fmt: skip
    assert "genai-prices" in found.price.source
    assert found.price.as_of > "2026"
    assert found.reading == (
        "prefix litellm: removed",
        "provider openai",
        "suffix :nitro removed",
    )
    assert [
        (each.usage_type, each.count, each.rate.pico, each.cost_pico) for each in found.amounts
    ] == [
        ("input", 1000, 2_500_000, 2_500_000_000),
        ("output", 100, 10_000_000, 1_000_000_000),
    ]
    assert (found.total_pico, found.reason, found.unpriced) == (3_500_000_000, "", ())


def test_reported_usage_is_reconciled_first():
    found = explained(
        "gpt-4o", prompt_tokens=1000, completion_tokens=10, total_tokens=1010,
        prompt_tokens_details={"cached_tokens": 400},
    )  # fmt: skip
    counts = {each.usage_type: each.count for each in found.amounts}
    assert sum(counts.values()) == 1010
    assert counts["input"] == 600


def test_what_other_prices_lost_is_shown():
    found = explained("gpt-4o", OWN, input=1)
    assert found.price is not None
    assert (found.price.id, found.price.origin, found.price.outcome) == (
        "exact",
        "project",
        APPLIES,
    )
    outcomes = {each.id: each.outcome for each in found.candidates}
    assert outcomes == {
        "later": "not yet in force at this time",
        "exact": "applies",
        "broad": "a more specific, later or younger price comes first",
        "house": "the project's price comes first",
        "openai/gpt-4o": "the project's price comes first",
    }
    assert "other" not in outcomes, "another project's price is no business of this one"
    assert explained("gpt-4o", OWN, NOW_US + 2 * DAY_US, input=1).price.id == "later"
    of_installation = explained("acme", OWN, input=1)
    assert (of_installation.price.id, of_installation.price.origin) == ("house", "installation")


def test_conditions_that_apply_are_shown():
    flex = explained("gpt-4o", OWN, tier="flex", input=50)
    assert (flex.total_pico, dict(flex.conditions)) == (50, {"service_tier": "flex"})
    assert [each.when for each in flex.tiers] == [{"service_tier": "flex"}]
    long = explained("gpt-4o", OWN, input=101)
    assert (long.total_pico, long.above_input_tokens, long.input_tokens) == (909, 100, 101)
    assert [each.input_above for each in long.tiers] == [100]
    served = explained("gpt-4o", OWN, input=50, service_tier="flex")
    assert served.total_pico == 50, "the tier in the usage served the call"


def test_what_has_no_price_is_shown_with_the_reason():
    found = explained("gpt-4o", OWN, input=1, output=2, widgets=3)
    assert [(each.usage_type, each.count, each.reason) for each in found.unpriced] == [
        ("output", 2, "the price does not list output"),
        ("widgets", 3, "the price does not list this usage type, and its unit is unknown"),
    ]
    assert found.total_pico == 6
    unknown = explained("no-such-model", input=1)
    assert (unknown.price, unknown.total_pico, unknown.reason) == (
        None, None, "no price fits the name of the model",
    )  # fmt: skip
    assert [each.usage_type for each in unknown.unpriced] == ["input"]


def test_a_model_without_usage_shows_its_rates():
    found = explained("gpt-4o-mini")
    assert (found.total_pico, found.reason) == (None, "")
    assert found.rates["input"].pico == 150_000


MODELS = sorted(
    {name for prices in default_prices().lists for provider in prices.providers
     for model in provider.models for name in (*model.names[:1], f"{provider.id}/{model.id}")}
)  # fmt: skip
USAGE = st.dictionaries(
    st.sampled_from(
        [
            *("input", "output", "total", "cached_tokens", "input_audio_tokens", "widgets"),
            *("output_reasoning_tokens", "cache_creation_input_tokens", "web_searches", "requests"),
            *("prompt_tokens", "completion_tokens", "input_image_tokens", "characters"),
        ]
    ),
    st.integers(0, 300_000),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*MODELS, "gpt-4o", "acme", "none"]),
    USAGE,
    st.integers(1_600_000_000_000_000, 1_900_000_000_000_000),
    st.sampled_from(["", "flex", "priority", "batch"]),
    st.sampled_from(["", '{"service_tier":"flex"}', '{"batch":true}']),
)
def test_the_explained_cost_is_the_billed_one(
    model: str, usage: dict[str, int], at_us: int, tier: str, parameters: str
) -> None:
    found = explain(OWN, "p", model, usage, at_us, parameters, tier)
    counts = reconcile_object(usage).counts
    billed = OWN.cost_of("p", model, counts, at_us, parameters, tier)
    assert (found.total_pico or 0) == billed.total_pico
    assert {each.usage_type: each.cost_pico for each in found.amounts} == billed.cost
    assert all(each.rate.amount(each.count) == each.cost_pico for each in found.amounts)
    assert sum(each.cost_pico for each in found.amounts) == billed.total_pico
    assert (found.price.id if found.price and billed.cost else "") == (
        billed.price_id if billed.cost else ""
    )
    if found.price and billed.has_price and billed.cost:
        assert {each.usage_type for each in found.unpriced} == set(billed.unpriced)


@pytest.mark.parametrize("model", ["gpt-4o", "us.anthropic.claude-sonnet-4-5", "qwen-flash"])
def test_exactly_one_candidate_applies(model: str) -> None:
    found = explained(model, input=1)
    assert [each for each in found.candidates if each.outcome == APPLIES] == [found.price]
