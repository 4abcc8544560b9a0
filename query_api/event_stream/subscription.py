"""Keep the events that a reader of the stream has not received yet, and count those it missed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from query_api import metrics
from query_api.event_stream.events import Event, Kind, has_fields

SLOW: Final = "slow"
"""The reader was too slow; ``events`` says how many it missed."""
UNKNOWN: Final = "unknown"
"""Events after ``Last-Event-ID`` are no longer kept; their number is not known."""
BATCH_MAX: Final = 200
"""Maximum number of events that are sent together."""


class Missed(msgspec.Struct):
    """Events that were not sent. The client reads them from the API."""

    reason: str
    """`slow` or `unknown`."""
    events: int | None


class Subscription:
    """A bounded queue of a reader's events, as texts of server-sent events."""

    def __init__(
        self, kinds: Sequence[Kind], filters: Mapping[str, Sequence[str]], events_max: int
    ) -> None:
        self._kinds = frozenset(kinds)
        self._filters = filters
        self._events_max = events_max
        self._texts: deque[bytes] = deque()
        self._missed = 0
        self._is_unknown = False
        self._changed = asyncio.Event()
        self.end = ""
        """Why the subscription has ended; empty: it has not."""

    def offer(self, event: Event, event_id: str) -> None:
        """Add an event if the reader wants it; the oldest one is dropped if the queue is full."""
        if event.kind not in self._kinds or not has_fields(event, self._filters):
            return
        if len(self._texts) >= self._events_max:
            self._texts.popleft()
            self._missed += 1
            metrics.LIMITS_REACHED.labels("stream_queue_events_max").inc()
        self._texts.append(event_text(event.kind, event.data, event_id))
        self._changed.set()

    def miss_unknown(self) -> None:
        """Note that events were missed whose number is not known."""
        self._is_unknown = True
        self._changed.set()

    def close(self, reason: str) -> None:
        """End the subscription after the events that are there."""
        self.end = self.end or reason
        self._changed.set()

    async def next(self, wait_s: float) -> bytes:
        """Return the next events; empty if there are none within ``wait_s``, or at the end."""
        if not self._has_more() and not self.end:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return b""
        texts = []
        if self._is_unknown:
            texts.append(event_text("missed", _encode(Missed(UNKNOWN, None))))
            self._is_unknown = False
        if self._missed:
            texts.append(event_text("missed", _encode(Missed(SLOW, self._missed))))
            self._missed = 0
        while self._texts and len(texts) < BATCH_MAX:
            texts.append(self._texts.popleft())
        return b"".join(texts)

    def _has_more(self) -> bool:
        return bool(self._texts or self._missed or self._is_unknown)


_encode: Final = msgspec.json.Encoder().encode


def event_text(name: str, data: bytes, event_id: str = "") -> bytes:
    """Return a server-sent event. JSON has no line breaks, so data are one line."""
    identified = f"id: {event_id}\n" if event_id else ""
    return b"%sevent: %s\ndata: %s\n\n" % (identified.encode(), name.encode(), data)
