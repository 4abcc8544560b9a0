"""A cache limited in bytes, for keys and values that clients choose."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any, Final, TypeVar

from producers import metrics

K = TypeVar("K")
V = TypeVar("V")

ENTRY_BYTES: Final = 120
"""Memory that an entry of a dict takes, besides its key and value."""
_ENTRY_SHARE: Final = 64
"""The largest entry is 1/64 of the cache, so that a few entries do not evict all others."""


class BoundedCache(dict[K, V]):
    """A dict that is filled by ``keep``.

    If it would exceed ``max_bytes``, all entries are evicted first. An entry larger than 1/64 of
    ``max_bytes`` is not cached. Both are counted under the name ``limit``.
    """

    def __init__(self, limit: str, max_bytes: int) -> None:
        super().__init__()
        self.limit = limit
        self.max_bytes = max_bytes
        self.bytes = 0
        self._lock = Lock()  # large bodies are decoded in threads

    def keep(self, key: K, value: V, size: int | None = None) -> V:
        """Cache a value and return it; ``size`` is the size of key and value in bytes."""
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
    """Return the size in bytes of a value that consists of containers, texts and numbers."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(k) + size_of(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return size + sum(map(size_of, value))
    return size
