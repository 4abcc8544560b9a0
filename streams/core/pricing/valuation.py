"""Determine the cost of an observation and the source of the cost.

A cost sent by the client is used; otherwise the price book computes one from model and usage.
Missing usage is estimated from the texts by a tokenizer, and marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from clickhouse.rows import ObservationRow
from streams.core.observations.lines import decoded_row_text
from streams.core.pricing.price_book import PriceBook, Priced, total_of_given
from tracemill.contract import COST_MAX_PICO

PRICED_BY_TOKENS: Final = frozenset({"GENERATION", "EMBEDDING"})
"""Types of observations whose missing usage is estimated."""


_TIER_NOTE: Final = "the service tier "
APP_CACHE_HITS: Final = frozenset({"exact", "semantic"})
"""Values of ``app_cache`` of observations that a cache of the application answered. Nothing was
called, so they cost nothing unless the client states a cost. They save what the price list would
have charged for their usage."""
DIFFERENCE_MIN: Final = 10
"""A computed cost is kept if it differs from the given one by more than 1/10 of it."""


class Tokens(Protocol):
    """An estimator of token counts."""

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        """Return usage by type; empty if the model's encoding is unknown."""


class NoTokens:
    """An estimator without estimates, for installations without tokenizers."""

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:  # noqa: ARG002  # the protocol's
        return {}


class IncrementalTokens:
    """An estimator that counts only the tokens of changed texts.

    Args:
        tokens: counts changed texts.
        counted: the previous counts.
        sides: the unchanged texts: ``input``, ``output``, both or none.
    """

    def __init__(
        self, tokens: Tokens, counted: Mapping[str, int], sides: frozenset[str] | set[str]
    ) -> None:
        self._tokens = tokens
        self._counted = counted
        self._sides = sides

    def usage_of(self, model: str, input_text: str, output_text: str) -> dict[str, int]:
        reused = {side: count for side, count in self._counted.items() if side in self._sides}
        new_input = "" if "input" in self._sides else input_text
        new_output = "" if "output" in self._sides else output_text
        if not new_input and not new_output:
            return reused
        return self._tokens.usage_of(model, new_input, new_output) | reused


def price_row(row: ObservationRow, prices: PriceBook, tokens: Tokens) -> bool:  # noqa: C901, PLR0911  # one return per source of a cost
    """Set usage with ``total``, costs, cost source and provider from the other fields of the row.

    Returns False if a cost exceeds ``COST_MAX_PICO``. Count or price must be wrong in this case, so
    the observation remains unpriced.
    """
    if row.model and not row.provider:
        _derive_provider(row, prices)
    usage, given_pico = row.provided_usage, row.provided_cost_pico
    if not usage and not given_pico:
        # A failed call was most likely not charged, so its usage is not estimated.
        if not row.model or row.type not in PRICED_BY_TOKENS or row.level == "ERROR":
            return True
        usage = tokens.usage_of(
            row.model, decoded_row_text(row.input), decoded_row_text(row.output)
        )
        if not usage:
            return True
        row.usage_estimated = 1
    if usage:
        row.usage = usage if "total" in usage else {**usage, "total": sum(usage.values())}
    if given_pico:
        total_pico = total_of_given(given_pico)
        if total_pico > COST_MAX_PICO:
            row.cost_source = "unpriced"
            return False
        row.cost_pico = {key: pico for key, pico in given_pico.items() if key != "total"}
        row.total_cost_pico = total_pico
        row.cost_source = "given"
        _compare(row, prices, usage)
        return True
    if not row.model:
        return True
    priced = _priced(row, prices, usage)
    if not priced.has_price and row.app_cache in APP_CACHE_HITS:
        return True  # no call was made, so no price is missing
    if not priced.has_price or priced.total_pico > COST_MAX_PICO:
        row.cost_source = "unpriced"
        return not priced.has_price
    _set_computed(row, priced)
    return True


def _derive_provider(row: ObservationRow, prices: PriceBook) -> None:
    row.provider = prices.provider_of(row.model)
    if row.provider:
        row.provider_derived = 1


def _set_computed(row: ObservationRow, priced: Priced) -> None:
    row.cost_source = "computed"
    if row.app_cache in APP_CACHE_HITS:
        row.cache_saved_pico = priced.total_pico
    else:
        row.cost_pico = priced.cost
        row.total_cost_pico = priced.total_pico
        row.cache_saved_pico = priced.saved_pico
    row.price_id = priced.price_id
    if priced.unpriced:
        row.unpriced_usage = priced.unpriced
    if not priced.has_tier:
        row.usage_uncertain = with_tier_note(row.usage_uncertain, row.service_tier)


def with_tier_note(uncertain: str, tier: str) -> str:
    """Add to the reported uncertainty that a tier has no price of its own."""
    note = f"{_TIER_NOTE}{tier!r} has no price: the standard price is used"
    return f"{uncertain}; {note}" if uncertain else note


def without_tier_note(uncertain: str) -> str:
    """Return the reported uncertainty of a row."""
    return uncertain.partition(_TIER_NOTE)[0].removesuffix("; ")


def _priced(row: ObservationRow, prices: PriceBook, usage: Mapping[str, int]) -> Priced:
    return prices.cost_of(
        row.project_id, row.model, usage, row.start_us, row.model_parameters, row.service_tier
    )


def _compare(row: ObservationRow, prices: PriceBook, usage: Mapping[str, int]) -> None:
    """Keep the computed cost, with its price, if it differs from the given one; set the saving.

    If some usage has no price, the computed cost differs only if it is higher. What a cache saved
    is computed by the price list. It is unknown (0) without a price.
    """
    if not usage or not row.model:
        return
    priced = _priced(row, prices, usage)
    computed, given = priced.total_pico, row.total_cost_pico
    if priced.has_price and computed <= COST_MAX_PICO:
        is_hit = row.app_cache in APP_CACHE_HITS
        row.cache_saved_pico = max(computed - given, 0) if is_hit else priced.saved_pico
    if not priced.has_price or computed > COST_MAX_PICO or (priced.unpriced and computed < given):
        return
    if abs(computed - given) * DIFFERENCE_MIN > given:
        row.computed_cost_pico = computed
        row.price_id = priced.price_id
