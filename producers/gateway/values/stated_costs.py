"""Find the cost that a client states, whatever its spelling.

The name decides, by the words in it: ``cost``, ``totalCost``, ``response_cost``, ``cost_usd`` and
``gen_ai.usage.cost`` are the cost of a call, ``llm.cost.prompt`` and ``inputCost`` that of a side.
A name with any other word is something else, such as a rate (``input_cost_per_token``) or an amount
in another currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from producers import metrics
from producers.bounded_cache import BoundedCache
from producers.gateway.values.money import pico_of_usd
from tracemill.contract import is_within_cost_max

NAME_CHARS_MAX: Final = 100
"""Longer names state no cost."""
MEMBERS_MAX: Final = 100
"""Members of an object that are looked at."""

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
"""Words that say where a cost is from, and not what it is for."""
_DETAILS: Final = frozenset({"details", "breakdown"})

_roles: BoundedCache[str, str] = BoundedCache("cached_cost_names_max_bytes", 512 * 1024)


def role_of(name: str) -> str:
    """Return what a name says that its value is: the cost in ``total``, or of a side.

    ``details`` are an object of those. Empty: something else.
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
    if len(others) == 1:
        return "details" if others[0] in _DETAILS else _SIDES.get(others[0], "")
    return ""


def cost_in(stated: Any) -> dict[str, int]:
    """Return the cost in picodollars that an object states among other values; empty if none."""
    if not isinstance(stated, dict):
        return {}
    found = cost_of_members(list(stated.items())[:MEMBERS_MAX])
    # With the customer's own key, OpenRouter bills a fee, and the provider the call.
    if found and stated.get("is_byok") is True:
        details = stated.get("cost_details")
        upstream = details.get("upstream_inference_cost") if isinstance(details, dict) else None
        found = {"total": total_of(found) + (pico_of_usd(upstream) or 0)}
    return believed(found)


def cost_of_members(members: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    """Return picodollars by ``total``, or by side, of named values.

    Of several names for a total, the one that contains the word counts, as a cost of Perplexity's
    has parts of other names. The sides are kept beside a total only if they add up to it.
    """
    found: dict[str, int] = {}
    for name, value in sorted(
        (each for each in members if isinstance(each[0], str)),
        key=lambda each: ("total" not in each[0].lower(), each[0]),
    ):
        role = role_of(name)
        if role and not isinstance(value, dict):
            pico = pico_of_usd(value)
            if pico is not None:
                found.setdefault("total" if role == "details" else role, pico)
        elif role:
            for side, pico in cost_of_members(list(value.items())[:MEMBERS_MAX]).items():
                found.setdefault(side, pico)
    total = found.get("total")
    if total is not None and sum(found.values()) != 2 * total:
        return {"total": total}
    return found


def total_of(cost: dict[str, int]) -> int:
    """Return the total of a cost: the stated one, or the sum of its parts."""
    total = cost.get("total")
    return sum(cost.values()) if total is None else total


def believed(cost: dict[str, int]) -> dict[str, int]:
    """Return a cost, or nothing if it is above that of one observation."""
    if is_within_cost_max(cost):
        return cost
    metrics.LIMIT_REACHED.labels(limit="observation_cost_max").inc()
    return {}
