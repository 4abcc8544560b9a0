"""A cache whose limit is bytes: senders choose what is in it, so neither entries nor their sizes say enough."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any, Final, TypeVar

from producers import metrics

K = TypeVar("K")
V = TypeVar("V")

ENTRY_BYTES: Final = 120
"""What an entry takes in the table itself."""
_ENTRY_SHARE: Final = 64
"""An entry takes no more than this part of a cache, so that a few do not drop all others."""


class BoundedCache(dict[K, V]):
    """A dict to look things up in; ``keep`` puts them in.

    Above ``max_bytes`` everything is dropped, to be made anew when asked for. An entry that alone is a
    sixty-fourth of that is never kept. Both are counted under ``limit``.
    """

    def __init__(self, limit: str, max_bytes: int) -> None:
        super().__init__()
        self.limit = limit
        self.max_bytes = max_bytes
        self.bytes = 0
        self._lock = Lock()  # large bodies are decoded in threads

    def keep(self, key: K, value: V, size: int | None = None) -> V:
        """Remember a value, which takes ``size`` bytes with its key (by default as ``size_of`` says)."""
        if size is None:
            size = size_of(key) + size_of(value)
        size += ENTRY_BYTES
        if size > self.max_bytes // _ENTRY_SHARE:
            metrics.LIMIT_REACHED.labels(limit=self.limit).inc()
            return value
        with self._lock:
            if key not in self:
                if self.bytes + size > self.max_bytes:
                    metrics.LIMIT_REACHED.labels(limit=self.limit).inc()
                    self.clear()
                    self.bytes = 0
                self.bytes += size
            self[key] = value
        return value


def size_of(value: Any) -> int:
    """Bytes that a value of plain containers, texts and numbers takes."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(k) + size_of(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return size + sum(map(size_of, value))
    return size
