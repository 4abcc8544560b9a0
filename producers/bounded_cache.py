"""A cache that is bounded in bytes, for keys and values that senders choose."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any, Final, TypeVar

from producers import metrics

K = TypeVar("K")
V = TypeVar("V")

ENTRY_BYTES: Final = 120
"""Bytes that an entry takes in the table itself."""
_ENTRY_SHARE: Final = 64
"""Largest entry as a fraction of the cache (1/64), so that few entries do not evict all others."""


class BoundedCache(dict[K, V]):
    """A dict for look-ups, filled by ``keep``.

    Above ``max_bytes`` all entries are dropped. An entry larger than a sixty-fourth of that is not
    kept. Both are counted under ``limit``.
    """

    def __init__(self, limit: str, max_bytes: int) -> None:
        super().__init__()
        self.limit = limit
        self.max_bytes = max_bytes
        self.bytes = 0
        self._lock = Lock()  # large bodies are decoded in threads

    def keep(self, key: K, value: V, size: int | None = None) -> V:
        """Keep a value that takes ``size`` bytes with its key; by default ``size_of`` counts them."""
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
    """Return the bytes of a value that is made of plain containers, texts and numbers."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(k) + size_of(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return size + sum(map(size_of, value))
    return size
