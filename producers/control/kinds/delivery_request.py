"""Requests to deliver alerts again, or to send a test."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from producers.control.record import Identifier, Microseconds, ProjectRecord


class DeliveryRequest(ProjectRecord):
    """A request that creates deliveries to one webhook or channel, each once.

    Its deliveries have the ids of the alerts, of the target and of the request. The API removes
    requests that are older than ``REQUEST_MEMORY_H``.
    """

    kind = "delivery_request"
    per_project_max = 1_000

    target_kind: Literal["webhook", "channel"]
    target_id: Identifier
    action: Literal["test", "redeliver"]
    alert_id: str = Field("", max_length=256)
    """The only alert to deliver again; empty: all alerts of the target since ``since_us``."""
    since_us: Microseconds = 0
    created_us: Microseconds

    def covers(self, alert_id: str, created_us: int) -> bool:
        """Return whether an alert is to be delivered again."""
        if self.action != "redeliver":
            return False
        if self.alert_id:
            return alert_id == self.alert_id
        return self.since_us <= created_us <= self.created_us


REQUEST_MEMORY_H = 24 * 14
"""Time for which requests are kept: as long as the states of their deliveries."""
