"""Cache the traces of recent observations, for events without a trace id."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Final

from producers import metrics

ENTRY_BYTES: Final = 400
"""Memory of an entry, in addition to the characters of its ids."""


class RecentTraces:
    """Cache the trace ids of recently accepted observations.

    There are two generations of entries. When the younger one exceeds half of ``max_bytes``, it
    becomes the older one, and the previous older one is evicted. So at least half of the memory is
    used for the latest observations.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._younger: dict[tuple[str, str], str] = {}
        self._older: dict[tuple[str, str], str] = {}
        self._lock = Lock()  # large bodies are decoded in threads

    def trace_of(self, project_id: str, observation_id: str) -> str | None:
        """Return the trace id of an observation; None if it is not cached."""
        key = (project_id, observation_id)
        return self._younger.get(key) or self._older.get(key)

    def remember(self, project_id: str, trace_of: Mapping[str, str]) -> None:
        """Cache the trace id of each observation."""
        with self._lock:
            for observation_id, trace_id in trace_of.items():
                key = (project_id, observation_id)
                if self._younger.get(key) != trace_id:
                    self._bytes += ENTRY_BYTES + len(observation_id) + len(trace_id)
                    self._younger[key] = trace_id
            if self._bytes > self._max_bytes // 2:
                metrics.LIMIT_REACHED.labels(limit="recent_traces_max_bytes").inc()
                self._older, self._younger, self._bytes = self._younger, {}, 0
