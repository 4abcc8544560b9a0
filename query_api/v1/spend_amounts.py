"""Define how amounts of spend are shown: cost as a decimal string, tokens by side, by model."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from query_api.money import pico_of, usd_text


class Tokens(msgspec.Struct, gc=False):
    """Tokens of calls; cached tokens are part of the input, and reasoning is part of the output."""

    input: int = 0
    output: int = 0
    total: int = 0


class ModelSpend(msgspec.Struct, gc=False):
    """Cost and tokens of the calls of one model; the model is empty if calls named none."""

    model: str
    cost_usd: str
    tokens: Tokens
    unpriced: int
    """Number of calls without a known price; the cost does not include them."""


class SpendRowOfModel(msgspec.Struct, kw_only=True):
    """A row of a query of spend by model."""

    model: str
    cost_usd: str
    input_tokens: int
    output_tokens: int
    total_tokens: int
    unpriced: int


def by_model(rows: Iterable[SpendRowOfModel]) -> list[ModelSpend]:
    """Return the amounts of each model, in the order of the rows."""
    return [
        ModelSpend(
            row.model,
            usd_text(pico_of(row.cost_usd)),
            Tokens(row.input_tokens, row.output_tokens, row.total_tokens),
            row.unpriced,
        )
        for row in rows
    ]


def summed(rows: Iterable[SpendRowOfModel]) -> tuple[int, Tokens]:
    """Return picodollars and tokens of all rows together."""
    pico, tokens = 0, Tokens()
    for row in rows:
        pico += pico_of(row.cost_usd)
        tokens.input += row.input_tokens
        tokens.output += row.output_tokens
        tokens.total += row.total_tokens
    return pico, tokens
