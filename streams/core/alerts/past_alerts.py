"""Remembers the ids of alerts, so that each is created once."""

from __future__ import annotations

from typing import Protocol


class AlertIds(Protocol):
    """A set of alert ids."""

    def __contains__(self, alert_id: object, /) -> bool: ...

    def add(self, alert_id: str, /) -> None: ...


class PastAlerts:
    """The ids of the latest ``alerts_max`` alerts.

    A forgotten alert may be created again with the same id, so the store and receivers recognize
    it.
    """

    def __init__(self, alerts_max: int) -> None:
        self._alerts_max = alerts_max
        self._ids: dict[str, None] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, alert_id: object, /) -> bool:
        return alert_id in self._ids

    def add(self, alert_id: str, /) -> None:
        """Remember an alert; forget the oldest one above the limit."""
        if alert_id not in self._ids:
            self._ids[alert_id] = None
            if len(self._ids) > self._alerts_max:
                del self._ids[next(iter(self._ids))]
                self._forgotten += 1

    def take_forgotten(self) -> int:
        """Return how many were forgotten since the last call."""
        forgotten, self._forgotten = self._forgotten, 0
        return forgotten
