"""Find the cost that a client sends, in any spelling of its name.

The words of the name decide. ``cost``, ``totalCost``, ``response_cost``, ``cost_usd`` and
``gen_ai.usage.cost`` are the cost of a call. ``llm.cost.prompt`` and ``inputCost`` are the cost of
a side (input or output). A name with any other word is not a cost, but for example a rate
(``input_cost_per_token``) or an amount in another currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from producers import metrics
from producers.bounded_cache import BoundedCache
from producers.gateway.values.money import pico_of_usd
from tracemill.contract import COST_MAX_PICO, is_within_cost_max
from tracemill.reconciliation.objects import number_of

NAME_CHARS_MAX: Final = 100
"""Maximum length of a name; a longer name is not a cost."""
MEMBERS_MAX: Final = 100
"""Maximum number of members of an object that are read."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORDS: Final = re.compile(r"[a-z0-9]+")
_COST: Final = frozenset({"cost", "costs"})
_SIDES: Final = {
    **dict.fromkeys(("input", "prompt"), "input"),
    **dict.fromkeys(("output", "completion", "completions"), "output"),
}
_NEUTRAL: Final = {
    *("total", "estimated", "usd", "us", "dollars", "in", "token", "tokens"),
    *("usage", "response", "operation", "call", "model", "api", "generation", "observation"),
    *("gen", "genai", "ai", "llm", "openai", "openrouter", "litellm", "mlflow", "langfuse"),
}
"""Words that do not change the meaning of a name."""
_TICKS: Final = "ticks"
PICO_PER_TICK: Final = 100
"""Picodollars per tick of xAI's ``cost_in_usd_ticks``: 10,000,000,000 ticks are 1 USD. Source:
xAI's documentation, "Cost tracking"."""
_DETAILS: Final = frozenset({"details", "breakdown"})

_roles: BoundedCache[str, str] = BoundedCache("cached_cost_names_max_bytes", 512 * 1024)


def role_of(name: str) -> str:
    """Return the role of a value by its name: ``total``, ``input`` or ``output``; empty: no cost.

    The role ``details`` is an object with such values. ``ticks`` is a total in another unit.
    """
    role = _roles.get(name)
    if role is None:
        role = _role(name) if len(name) <= NAME_CHARS_MAX else ""
        _roles.keep(name, role)
    return role


def _role(name: str) -> str:
    words = _WORDS.findall(_CAMEL.sub("_", name).lower())
    if _COST.isdisjoint(words):
        return ""
    others = [word for word in words if word not in _COST and word not in _NEUTRAL]
    if not others:
        return "total"
    if others == [_TICKS] and "usd" in words:
        return _TICKS
    if len(others) == 1:
        return "details" if others[0] in _DETAILS else _SIDES.get(others[0], "")
    return ""


def cost_in(stated: Any) -> dict[str, int]:
    """Return the cost in picodollars that an object states among other values; empty if none."""
    if not isinstance(stated, dict):
        return {}
    found = cost_of_members(list(stated.items())[:MEMBERS_MAX])
    # With a key of the customer (BYOK), OpenRouter bills only a fee; the provider bills the call.
    if found and stated.get("is_byok") is True:
        details = stated.get("cost_details")
        upstream = details.get("upstream_inference_cost") if isinstance(details, dict) else None
        found = {"total": total_of(found) + (pico_of_usd(upstream) or 0)}
    return cost_within_limit(found)


def cost_of_members(members: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    """Return the cost in picodollars by ``total``, ``input`` and ``output``, from named values.

    Of several values for the total, one whose name contains "total" wins, because Perplexity's cost
    has parts with other names. The total is the cost, even if the sides do not add up to it.
    """
    found: dict[str, int] = {}
    for name, value in sorted(
        (each for each in members if isinstance(each[0], str)),
        key=lambda each: ("total" not in each[0].lower(), each[0]),
    ):
        role = role_of(name)
        if role and not isinstance(value, dict):
            pico = _pico_of_ticks(value) if role == _TICKS else pico_of_usd(value)
            if pico is not None:
                found.setdefault(role if role in _SIDES else "total", pico)
        elif role:
            for side, pico in cost_of_members(list(value.items())[:MEMBERS_MAX]).items():
                found.setdefault(side, pico)
    return found


def _pico_of_ticks(value: Any) -> int | None:
    ticks = number_of(value)
    if ticks is None or not 0 <= ticks <= COST_MAX_PICO or ticks % 1:
        return None
    return int(ticks) * PICO_PER_TICK


def with_total(cost: dict[str, int]) -> dict[str, int]:
    """Return a cost by usage type, with the sum renamed to ``total``.

    For example, ``total_cost`` next to ``input_cost`` and ``output_cost`` is the sum, not a part.
    """
    if "total" in cost:
        return cost
    names = [name for name in cost if role_of(name) == "total" and _is_total(name)]
    if not names:
        return cost
    parts = {name: pico for name, pico in cost.items() if name not in names}
    return parts | {"total": cost[min(names)]}


def _is_total(name: str) -> bool:
    return "total" in name.lower() or name.lower() in _COST


def total_of(cost: dict[str, int]) -> int:
    """Return the total of a cost: the given one, or the sum of the parts."""
    total = cost.get("total")
    return sum(cost.values()) if total is None else total


def cost_within_limit(cost: dict[str, int]) -> dict[str, int]:
    """Return a cost; return an empty one if it exceeds the maximum of an observation."""
    if is_within_cost_max(cost):
        return cost
    metrics.LIMIT_REACHED.labels(limit="observation_cost_max").inc()
    return {}
