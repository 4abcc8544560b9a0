"""Which traces the store may hold: 64-bit hashes of all that were written, so that memory need not hold the traces themselves."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import md5
from typing import Final

from streams.core.observations.traces import TraceKey

TRACES_MAX: Final = 20_000_000
"""Eight bytes each."""
_SHELF_BITS: Final = 12
_SHIFT: Final = 64 - _SHELF_BITS


def trace_hash(key: TraceKey) -> int:
    """The store computes the same as ``halfMD5(concat(project_id, '/', id))``."""
    digest = md5(f"{key[0]}/{key[1]}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")


class SeenTraces:
    """A hit may be false (another trace with the same hash, or no room for more); a miss never is.

    The hashes lie sorted on shelves by their first bits: adding one moves the few thousand above it, never all of them.

    Args:
        hashes: ascending.
        traces_max: how many are known. Above it every trace may have been seen: it is read back, which is slow and right; none is taken for new that is not.
    """

    def __init__(self, hashes: array[int] | None = None, traces_max: int = TRACES_MAX) -> None:
        known = array("Q") if hashes is None else hashes
        ends = [bisect_left(known, shelf << _SHIFT) for shelf in range(1, 1 << _SHELF_BITS)]
        self._shelves = [
            known[begin:end] for begin, end in zip([0, *ends], [*ends, len(known)], strict=True)
        ]
        self._count = len(known)
        self._traces_max = traces_max
        self._is_full = self._count >= traces_max
        self.refused = 0
        """How many traces found no room so far."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: TraceKey) -> bool:
        if self._is_full:
            return True
        wanted = trace_hash(key)
        shelf = self._shelves[wanted >> _SHIFT]
        at = bisect_left(shelf, wanted)
        return at < len(shelf) and shelf[at] == wanted

    @property
    def is_full(self) -> bool:
        """Whether every trace counts as seen."""
        return self._is_full

    def add(self, key: TraceKey) -> None:
        if self._is_full:
            self.refused += 1
            return
        new = trace_hash(key)
        shelf = self._shelves[new >> _SHIFT]
        at = bisect_left(shelf, new)
        if at == len(shelf) or shelf[at] != new:
            shelf.insert(at, new)
            self._count += 1
            self._is_full = self._count >= self._traces_max
