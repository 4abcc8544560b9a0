"""Name the groups of budgets, and determine which limit applies to a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from producers.control.kinds.budget import BudgetLimit

_encode: Final = msgspec.json.Encoder(order="sorted").encode


def group_text(group: Mapping[str, str]) -> str:
    """Return a group as JSON: its dimensions and values, sorted by name, without spaces."""
    return _encode(group).decode()


def limit_of_group(
    limit: BudgetLimit, user_id: str, mapped_tier: str, trace_tier: str
) -> tuple[str, int]:
    """Return the tier and the limit in picodollars of a group; 0: no limit.

    Args:
        limit: the limit of the budget.
        user_id: the user of the group; empty if it has none.
        mapped_tier: tier that ``/v1/tiers`` maps the user to; empty: none. It outranks
            ``trace_tier``.
        trace_tier: tier in the metadata of the user's latest trace; empty: none.
    """
    tier = ""
    limit_pico = limit.limit_pico or 0
    if limit.tiers:
        tiers = limit.tiers
        tier = mapped_tier if mapped_tier in tiers else trace_tier
        if not tier or tier not in tiers:
            tier = limit.default_tier
        limit_pico = tiers.get(tier, 0)
    return tier, limit.overrides.get(user_id, limit_pico)
