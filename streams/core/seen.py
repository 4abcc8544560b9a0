"""Which traces the store may hold: 64-bit hashes of all that were written, so that memory need not hold the traces themselves."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import md5

from streams.core.traces import TraceKey

MERGE_AT: int = 100_000
"""Hashes added one by one before they are sorted in."""


def trace_hash(key: TraceKey) -> int:
    """The store computes the same as ``halfMD5(concat(project_id, '/', id))``."""
    digest = md5(f"{key[0]}/{key[1]}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")


class SeenTraces:
    """A hit may be false (another trace with the same hash); a miss never is."""

    def __init__(self, hashes: array[int] | None = None) -> None:
        self._sorted: array[int] = array("Q", sorted(hashes or ()))
        self._recent: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def __contains__(self, key: TraceKey) -> bool:
        wanted = trace_hash(key)
        if wanted in self._recent:
            return True
        at = bisect_left(self._sorted, wanted)
        return at < len(self._sorted) and self._sorted[at] == wanted

    def add(self, key: TraceKey) -> None:
        self._recent.add(trace_hash(key))
        if len(self._recent) >= MERGE_AT:
            self._sorted = array("Q", sorted({*self._sorted, *self._recent}))
            self._recent.clear()
