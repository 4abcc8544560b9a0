"""Define panes: sums of ten seconds, or of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PANE_S: Final = 10
Group = tuple[str, ...]
"""Values of the dimensions of ``group_by``."""
Bins = dict[int, int]


@dataclass(slots=True)
class Pane:
    """Sums of measures, and a sketch if the series has one."""

    sums: list[int]
    bins: Bins

    def add(self, sums: Sequence[int], bins: Mapping[int, int], sign: int = 1) -> None:
        """Add (1) or subtract (-1) sums."""
        mine = self.sums
        for index, number in enumerate(sums):
            mine[index] += sign * number
        if bins:
            counts = self.bins
            for key, number in bins.items():
                count = counts.get(key, 0) + sign * number
                if count:
                    counts[key] = count
                else:
                    counts.pop(key, None)


@dataclass(slots=True)
class PaneQuota:
    """The number of panes of all rules of a partition, and its limit."""

    panes_max: int
    count: int = 0
    refused: int = 0

    def take(self) -> bool:
        """Count a new pane; return False if there are too many."""
        if self.count >= self.panes_max:
            self.refused += 1
            return False
        self.count += 1
        return True

    def release(self, count: int) -> None:
        """Count removed panes."""
        self.count -= count
