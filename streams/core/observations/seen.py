"""Keep the traces that the store may contain, as 64-bit hashes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import md5
from typing import Final

from streams.core.observations.traces import TraceKey

TRACES_MAX: Final = 20_000_000
"""Default limit of traces; a hash takes eight bytes."""
_BUCKET_BITS: Final = 12
_SHIFT: Final = 64 - _BUCKET_BITS


def trace_hash(key: TraceKey) -> int:
    """Return the hash that the store computes as ``halfMD5(concat(project_id, '/', id))``."""
    digest = md5(f"{key[0]}/{key[1]}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")


class SeenTraces:
    """A set of trace hashes: it may report a trace that was never added, but never misses one.

    Hashes are sorted in buckets by their first bits, so that adding one moves only the few thousand
    above it in its bucket.

    Args:
        hashes: ascending.
        traces_max: limit of hashes. Above it every trace counts as seen and is read back, which is
            slower but still exact.
    """

    def __init__(self, hashes: array[int] | None = None, traces_max: int = TRACES_MAX) -> None:
        sorted_hashes = array("Q") if hashes is None else hashes
        ends = [
            bisect_left(sorted_hashes, bucket << _SHIFT) for bucket in range(1, 1 << _BUCKET_BITS)
        ]
        self._buckets = [
            sorted_hashes[begin:end]
            for begin, end in zip([0, *ends], [*ends, len(sorted_hashes)], strict=True)
        ]
        self._count = len(sorted_hashes)
        self._traces_max = traces_max
        self._is_full = self._count >= traces_max
        self.rejected = 0
        """Traces that could not be added because the limit was reached."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: TraceKey) -> bool:
        if self._is_full:
            return True
        return self.has_hash(trace_hash(key))

    @property
    def is_full(self) -> bool:
        """Return whether every trace counts as seen."""
        return self._is_full

    def has_hash(self, wanted: int) -> bool:
        """Return whether a hash was added."""
        bucket = self._buckets[wanted >> _SHIFT]
        at = bisect_left(bucket, wanted)
        return at < len(bucket) and bucket[at] == wanted

    def add_hashes(self, hashes: Iterable[int]) -> None:
        """Add many hashes in any order; the limit takes effect afterwards."""
        changed: dict[int, list[int]] = {}
        for each in hashes:
            at = each >> _SHIFT
            if at in changed:
                changed[at].append(each)
            else:
                changed[at] = [each]
        for at, added in changed.items():
            self._buckets[at] = array("Q", sorted({*self._buckets[at], *added}))
        self._count = sum(map(len, self._buckets))
        self._is_full = self._count >= self._traces_max

    def hashes(self, count: int) -> Iterator[array[int]]:
        """Yield all hashes, about ``count`` at a time; hashes added meanwhile may be missing."""
        part = array("Q")
        for bucket in self._buckets:
            part.extend(bucket)
            if len(part) >= count:
                yield part
                part = array("Q")
        if part:
            yield part

    def add(self, key: TraceKey) -> None:
        """Add a trace, unless the limit is reached."""
        self.add_hash(trace_hash(key))

    def add_hash(self, new: int) -> None:
        """Add a hash, unless the limit is reached."""
        if self._is_full:
            self.rejected += 1
            return
        bucket = self._buckets[new >> _SHIFT]
        at = bisect_left(bucket, new)
        if at == len(bucket) or bucket[at] != new:
            bucket.insert(at, new)
            self._count += 1
            self._is_full = self._count >= self._traces_max
