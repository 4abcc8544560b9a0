"""Limit a list that several runs share, so that each run keeps a fair part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def fair_cut(of_runs: Sequence[Sequence[Item]], limit: int) -> list[Item]:
    """Return at most ``limit`` items: of each run as many as of the others, if it has so many.

    The first items of each run are kept, in their order.
    """
    kept: dict[int, int] = {}
    left = limit
    by_length = sorted(range(len(of_runs)), key=lambda each: len(of_runs[each]))
    for position, run in enumerate(by_length):
        # The remainder of a division goes to the longest lists.
        kept[run] = min(len(of_runs[run]), left // (len(of_runs) - position))
        left -= kept[run]
    return [item for run, items in enumerate(of_runs) for item in items[: kept[run]]]
