"""Convert usage and cost to the formats of the Langfuse API.

In the older format, ``input`` is the sum of all types whose name contains "input", and ``output``
likewise. ``total`` is the type "total".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from query_api.money import usd_number
from query_api.store.rows import StoredObservation

_COSTLESS: Final = frozenset({"none", "unpriced"})
_TOKENS: Final = "TOKENS"
_UNITS: Final = ("CHARACTERS", "MILLISECONDS", "SECONDS", "IMAGES", "REQUESTS")
"""Units other than tokens. Their usage types are ``input_characters``, ``characters`` and so on."""


class LegacyUsage(msgspec.Struct, rename="camel"):
    unit: str
    input: int
    output: int
    total: int


SUMMARY: Final = "summary"
_decode_usage: Final = msgspec.json.Decoder(dict[str, int]).decode


def usage_role(row: StoredObservation) -> str | None:
    """Return ``summary`` for an observation that repeats the usage of its descendants."""
    return None if row.counted is None else SUMMARY


def with_total(usage: Mapping[str, int]) -> dict[str, int]:
    """Return the usage with ``total``: the given one, or the sum of the other types."""
    if not usage or "total" in usage:
        return dict(usage)
    return {**usage, "total": sum(usage.values())}


def usage_details(usage: Mapping[str, int], reported: str = "") -> dict[str, int]:
    """Return the usage as it was reported, with ``total``: the given one, or that of ``usage``.

    ``reported`` is the column ``reported_usage``. Without it, counts that all have one unit other
    than tokens are named without it, as they were sent.
    """
    if reported and (sent := _reported(reported)):
        return {**sent, "total": sent.get("total", with_total(usage).get("total", 0))}
    return with_total(_without_unit(usage, usage))


def _reported(text: str) -> dict[str, int]:
    """Return the reported usage; empty if it equals the counts, or cannot be read."""
    try:
        return _decode_usage(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return {}


def has_cost(row: StoredObservation) -> bool:
    """Return whether a cost was given or computed; it may be zero."""
    return row.cost_source not in _COSTLESS or bool(row.cost_pico or row.total_cost_pico)


def differing_cost_pico(row: StoredObservation) -> int | None:
    """Return the computed cost if it differs by more than a tenth from the given one."""
    return row.computed_cost_pico if row.cost_source == "given" and row.price_id else None


def _without_unit(amounts: Mapping[str, int], usage: Mapping[str, int]) -> dict[str, int]:
    """Return amounts by type, without the unit that all types of ``usage`` have."""
    unit = unit_of(usage)
    if unit == _TOKENS:
        return dict(amounts)
    suffix = unit.lower()
    names = {f"input_{suffix}": "input", f"output_{suffix}": "output", suffix: "total"}
    return {names.get(name, name): amount for name, amount in amounts.items()}


def cost_details(row: StoredObservation) -> dict[str, float]:
    """Return US dollars by usage type, with ``total``; empty if there is no cost."""
    if not has_cost(row):
        return {}
    costs = _without_unit(row.cost_pico, row.usage)
    details = {name: usd_number(pico) for name, pico in costs.items() if name != "total"}
    details["total"] = usd_number(row.total_cost_pico)
    return details


def summed(amounts: Mapping[str, int], part: str) -> int:
    return sum(amount for name, amount in amounts.items() if part in name)


def unit_of(details: Mapping[str, int]) -> str:
    """Return the unit that the names of all types but ``total`` have in common, or tokens."""
    units = {_unit(name) for name in details if name != "total"}
    return units.pop() if len(units) == 1 else _TOKENS


def _unit(name: str) -> str:
    suffix = name.rpartition("_")[2].upper()
    return suffix if suffix in _UNITS else _TOKENS


def legacy_usage(usage: Mapping[str, int], details: Mapping[str, int]) -> LegacyUsage:
    """Return the older format of ``usage``, whose ``usage_details`` are ``details``.

    Reported names such as ``prompt_tokens`` do not contain their side, so ``usage`` is summed.
    """
    return LegacyUsage(
        unit=unit_of(usage),
        input=_side(details, usage, "input"),
        output=_side(details, usage, "output"),
        total=details.get("total", 0),
    )


def _side(details: Mapping[str, int], usage: Mapping[str, int], side: str) -> int:
    is_named = any(side in name for name in details)
    return summed(details if is_named else usage, side)
