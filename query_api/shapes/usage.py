"""Usage and cost in the shapes the Langfuse API has: maps with a total, and the older fields summed from them.

Older fields: ``input`` is the sum of all types whose name contains "input", ``output`` likewise, ``total`` is the type "total".
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from query_api.money import usd_number


class LegacyUsage(msgspec.Struct, rename="camel"):
    unit: str
    input: int
    output: int
    total: int


def usage_details(usage: Mapping[str, int]) -> dict[str, int]:
    """With ``total``: given, or the sum of the buckets, which do not overlap."""
    if not usage or "total" in usage:
        return dict(usage)
    return {**usage, "total": sum(usage.values())}


def cost_details(cost_pico: Mapping[str, int], total_pico: int) -> dict[str, float]:
    if not cost_pico and not total_pico:
        return {}
    details = {name: usd_number(pico) for name, pico in cost_pico.items() if name != "total"}
    details["total"] = usd_number(total_pico)
    return details


def summed(amounts: Mapping[str, int], part: str) -> int:
    return sum(amount for name, amount in amounts.items() if part in name)


def legacy_usage(details: Mapping[str, int]) -> LegacyUsage:
    return LegacyUsage(
        unit="TOKENS",
        input=summed(details, "input"),
        output=summed(details, "output"),
        total=details.get("total", 0),
    )
