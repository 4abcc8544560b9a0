"""Add the iterations of a call that its sums leave out, as Anthropic reports them.

The sums of a response leave out the iterations that compact the context or consult another model
(``usage.iterations``), which are billed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

ITERATIONS_MAX: Final = 1_000
"""Iterations of one call that are read."""
_COUNTS: Final = (
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
)
_LIFETIMES: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


class Further(NamedTuple):
    """Counts of all iterations; ``doubt`` names those that are not in the counts."""

    pairs: list[tuple[str, int]]
    doubt: str = ""


def further_iterations(
    usage: Mapping[Any, Any], pairs: list[tuple[str, int]], count: Callable[[Any], int | None]
) -> Further:
    """Return the counts of a usage object with those of the compactions that they leave out."""
    reported = usage.get("iterations")
    if not isinstance(reported, list) or "input_tokens" not in usage:
        return Further(pairs)
    iterations = [each for each in reported[:ITERATIONS_MAX] if isinstance(each, Mapping)]
    compactions = [each for each in iterations if each.get("type") == "compaction"]
    others = {
        str(each.get("type"))
        for each in iterations
        if isinstance(each.get("model"), str) and str(each.get("type")).startswith("advisor")
    }
    doubt = f"iterations of another model are not counted: {min(others)}" if others else ""
    added = _sums(compactions, count)
    sums = dict(pairs)
    if not any(added.values()) or _holds(sums, _sums(iterations, count)):
        return Further(pairs, doubt)
    names = dict.fromkeys((*sums, *(name for name, number in added.items() if number)))
    return Further([(name, sums.get(name, 0) + added.get(name, 0)) for name in names], doubt)


def _holds(sums: Mapping[str, int], all_iterations: Mapping[str, int]) -> bool:
    """Tell whether a client has added the iterations already."""
    return all(sums.get(name, 0) >= all_iterations[name] for name in _COUNTS)


def _sums(
    iterations: Iterable[Mapping[Any, Any]], count: Callable[[Any], int | None]
) -> dict[str, int]:
    sums = dict.fromkeys(_COUNTS, 0)
    for each in iterations:
        for name in _COUNTS:
            sums[name] += count(each.get(name)) or 0
        writes = each.get("cache_creation")
        if isinstance(writes, Mapping):
            for name in _LIFETIMES:
                path = f"cache_creation.{name}"
                sums[path] = sums.get(path, 0) + (count(writes.get(name)) or 0)
    return sums
