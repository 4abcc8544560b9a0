"""Limit the messages of channels per minute."""

from __future__ import annotations

from collections import deque

WINDOW_US = 60_000_000


class ChannelRates:
    """The times of the last messages of each channel, in a sliding window of one minute."""

    def __init__(self) -> None:
        self._sent_us: dict[str, deque[int]] = {}

    def take(self, channel_id: str, per_minute: int, now_us: int) -> int:
        """Count a message; return 0, or the time from which it may be sent if it may not yet."""
        sent = self._sent_us.setdefault(channel_id, deque())
        while sent and sent[0] <= now_us - WINDOW_US:
            sent.popleft()
        if len(sent) >= per_minute:
            return sent[len(sent) - per_minute] + WINDOW_US
        sent.append(now_us)
        return 0
