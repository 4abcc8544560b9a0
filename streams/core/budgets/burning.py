"""Measure how fast budgets are spent, in a short and a long window."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from producers.control.kinds.budget import BurnRate

PANE_S: Final = 60


@dataclass(slots=True)
class RecentSpend:
    """The spend of a group in the last minutes, by the time when the changes arrived."""

    panes: deque[list[int]] = field(default_factory=deque)
    """Start in seconds, and picodollars."""

    def add(self, pico: int, now_s: int, keep_s: int) -> None:
        """Add a change; remove panes that are older than ``keep_s``."""
        start_s = now_s // PANE_S * PANE_S
        if self.panes and self.panes[-1][0] >= start_s:
            self.panes[-1][1] += pico
        else:
            self.panes.append([start_s, pico])
        while self.panes[0][0] < start_s - keep_s:
            self.panes.popleft()

    def within(self, window_s: int, now_s: int) -> int:
        """Return the spend of the last ``window_s`` seconds."""
        begin_s = now_s - window_s
        return sum(pico for start_s, pico in self.panes if start_s + PANE_S > begin_s)


def rates_of(
    recent: RecentSpend, burn: BurnRate, limit_pico: int, period_s: int, now_s: int
) -> tuple[float, float]:
    """Return the rates in the short and the long window, as multiples of the allowed rate."""
    allowed = limit_pico / period_s
    fast, slow = (
        recent.within(window_s, now_s) / window_s / allowed
        for window_s in (burn.fast_s, burn.slow_s)
    )
    return fast, slow
