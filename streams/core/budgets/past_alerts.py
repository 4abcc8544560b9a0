"""Keep the ids of alerts, so that each alert is created once."""

from __future__ import annotations


class PastAlerts:
    """The ids of the latest ``alerts_max`` alerts.

    An alert whose id was dropped may be created again. It then has the same id, so the store and
    receivers can identify it.
    """

    def __init__(self, alerts_max: int) -> None:
        self._alerts_max = alerts_max
        self._ids: dict[str, None] = {}
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, alert_id: object, /) -> bool:
        return alert_id in self._ids

    def add(self, alert_id: str, /) -> None:
        """Add an id; drop the oldest one if the limit is exceeded."""
        if alert_id not in self._ids:
            self._ids[alert_id] = None
            if len(self._ids) > self._alerts_max:
                del self._ids[next(iter(self._ids))]
                self._dropped += 1

    def take_dropped(self) -> int:
        """Return the number of ids dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped
