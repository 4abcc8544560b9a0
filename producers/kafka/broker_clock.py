"""Compare this machine's clock with the broker's, by the append times of sent records."""

from __future__ import annotations

from typing import Final

from aiokafka.structs import RecordMetadata

from producers import metrics

LOG_APPEND_TIME: Final = 1
"""``timestamp_type`` of records whose timestamp the broker has set."""


class BrokerClock:
    """Measure the difference between this machine's clock and the broker's."""

    def __init__(self, skew_max_s: float) -> None:
        self._skew_max_s = skew_max_s
        self.skew_s = 0.0
        """Seconds that this machine's clock is ahead of the broker's; negative: behind."""

    def observe(self, written: RecordMetadata, sent_s: float, acknowledged_s: float) -> None:
        """Compare the append time of a record with the times of sending and acknowledgement.

        If the append time is between them, the difference is considered 0.
        """
        if written.timestamp_type != LOG_APPEND_TIME or written.timestamp is None:
            return
        # Append times are rounded down to milliseconds.
        earliest_s, latest_s = written.timestamp / 1000, (written.timestamp + 1) / 1000
        self.skew_s = max(0.0, sent_s - latest_s) - max(0.0, earliest_s - acknowledged_s)
        metrics.CLOCK_SKEW_S.set(self.skew_s)

    async def fault(self) -> str | None:
        """Return why this machine's clock is wrong; None if it is close to the broker's."""
        if abs(self.skew_s) <= self._skew_max_s:
            return None
        direction = "ahead of" if self.skew_s > 0 else "behind"
        return (
            f"this machine's clock is {abs(self.skew_s):.0f} s {direction} the broker's; "
            f"the maximum is {self._skew_max_s:g} s"
        )
