"""Follow the event time of a project."""

from __future__ import annotations

from typing import Final

from streams.core.alerting.rules.panes import PANE_S

_SECOND_US: Final = 1_000_000
PANE_US: Final = PANE_S * _SECOND_US


class EventClock:
    """The current pane of a project: that of its latest event, advanced while no events arrive.

    The start of an event is later than that of its pane by an unknown time, and it arrives later by
    its duration. So while no event of a later pane arrives, time passes from the moment when the
    first event of the current pane arrived. Event time is never after the time of the log.
    """

    def __init__(self) -> None:
        self.current_s = 0
        self._arrived_us = 0

    def bounded_s(self, start_s: int, now_us: int) -> int:
        """Return the pane of a start, at most the one of ``now_us``."""
        return min(start_s // PANE_S * PANE_S, now_us // PANE_US * PANE_S)

    def moved_to(self, pane_s: int, now_us: int) -> None:
        """Move to the pane of an event that arrived at ``now_us``."""
        self.current_s = pane_s
        self._arrived_us = now_us

    def idle_pane_s(self, now_us: int) -> int:
        """Return the pane that time alone has reached at ``now_us``."""
        if not self.current_s:
            return now_us // PANE_US * PANE_S
        passed_s = max(0, now_us - self._arrived_us) // PANE_US * PANE_S
        return min(self.current_s + passed_s, now_us // PANE_US * PANE_S)

    def moved_while_idle(self, pane_s: int) -> None:
        """Move to a pane of ``idle_pane_s``."""
        if self.current_s:
            self._arrived_us += (pane_s - self.current_s) * _SECOND_US
        else:
            self._arrived_us = pane_s * _SECOND_US
        self.current_s = pane_s

    def event_us(self, now_us: int) -> int:
        """Return the event time at ``now_us``."""
        passed_us = min(max(0, now_us - self._arrived_us), PANE_US)
        return min(now_us, self.current_s * _SECOND_US + passed_us)
