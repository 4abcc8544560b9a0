"""Add up what observations contribute to spend cells: cost, counts and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from producers.token_sides import tokens_of
from streams.core.dimensions.keys import StartedKey, own_spend_key
from streams.core.observations.state import ERROR, ObservationState

SpendAmounts = list[int]
"""Picodollars, observations, errors, tokens of the input, of the output and in total, and
observations without a price: the amounts of ``SpendDelta`` in their order."""
OwnSpend = dict[StartedKey, SpendAmounts]
"""Amounts of a trace by ``own_spend_key``, the part of the key that its attributes do not change.
"""
NOTHING: Final = (0, 0, 0, 0, 0, 0, 0)


def add_state(spend: OwnSpend, state: ObservationState, sign: int) -> None:
    """Add an observation (+1), or remove it (−1)."""
    key = own_spend_key(state)
    amounts = spend.get(key)
    if amounts is None:
        amounts = spend[key] = [*NOTHING]
    amounts[0] += sign * state.cost_pico
    amounts[1] += sign
    if state.severity == ERROR:
        amounts[2] += sign
    if state.usage:
        inputs, outputs, total = tokens_of(state.usage)
        amounts[3] += sign * inputs
        amounts[4] += sign * outputs
        amounts[5] += sign * total
    if state.cost_source == "unpriced" and state.is_unpriced:
        amounts[6] += sign
    if sign < 0 and not any(amounts):
        del spend[key]


def spend_of(observations: Iterable[ObservationState]) -> OwnSpend:
    """Return the spend of observations."""
    spend: OwnSpend = {}
    for state in observations:
        add_state(spend, state, 1)
    return spend


def difference(spend: OwnSpend, part: Mapping[StartedKey, SpendAmounts]) -> OwnSpend:
    """Return the spend without a part of it; cells in which nothing remains are left out."""
    rest = dict(spend)
    for key, subtracted in part.items():
        amounts = rest.get(key, NOTHING)
        rest[key] = [a - b for a, b in zip(amounts, subtracted, strict=True)]
    return {key: amounts for key, amounts in rest.items() if any(amounts)}
