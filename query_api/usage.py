"""Usage and cost in the shapes the Langfuse API has: maps with a total, and the older fields summed from them.

Older fields: ``input`` is the sum of all types whose name contains "input", ``output`` likewise, ``total`` is the type "total".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from query_api.money import usd_number
from query_api.store.rows import StoredObservation

_COSTLESS: Final = frozenset({"none", "unpriced"})
_UNITS: Final = ("CHARACTERS", "MILLISECONDS", "SECONDS", "IMAGES", "REQUESTS")
"""Besides tokens; usage in them has types such as ``input_characters``, or ``characters`` where nothing else is known."""


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


def has_cost(row: StoredObservation) -> bool:
    """Whether a cost was given or computed, be it zero."""
    return row.cost_source not in _COSTLESS or bool(row.cost_pico or row.total_cost_pico)


def cost_details(row: StoredObservation) -> dict[str, float]:
    """US dollars by usage type, with ``total``; empty where there is no cost."""
    if not has_cost(row):
        return {}
    details = {name: usd_number(pico) for name, pico in row.cost_pico.items() if name != "total"}
    details["total"] = usd_number(row.total_cost_pico)
    return details


def summed(amounts: Mapping[str, int], part: str) -> int:
    return sum(amount for name, amount in amounts.items() if part in name)


def unit_of(details: Mapping[str, int]) -> str:
    """What all types but ``total`` are counted in; tokens unless their names say otherwise with one voice."""
    units = {_unit(name) for name in details if name != "total"}
    return units.pop() if len(units) == 1 else "TOKENS"


def _unit(name: str) -> str:
    suffix = name.rpartition("_")[2].upper()
    return suffix if suffix in _UNITS else "TOKENS"


def legacy_usage(details: Mapping[str, int]) -> LegacyUsage:
    return LegacyUsage(
        unit=unit_of(details),
        input=summed(details, "input"),
        output=summed(details, "output"),
        total=details.get("total", 0),
    )
