"""Keep the documents that the store may not have yet, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from producers.documents.record import (
    RECORD_OVERHEAD_BYTES,
    DocumentKey,
    DocumentRecord,
    LoggedRecord,
)

_NONE: Final[Mapping[str, tuple[LoggedRecord, ...]]] = MappingProxyType({})


class _Applied(NamedTuple):
    """A record in the order of the log."""

    offset: int
    applied_s: float
    size_bytes: int
    key: DocumentKey


class DocumentTail:
    """The last records of the log by document.

    The last kept revision of a document is its current state. Earlier revisions are kept only of
    kinds that are versioned.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        """Approximate memory of the records."""
        self.stored_up_to = 0
        """The store has all records before this offset."""
        self._documents: dict[tuple[str, str], dict[str, tuple[LoggedRecord, ...]]] = {}
        self._applied: deque[_Applied] = deque()
        self._lost: set[int] = set()

    def __len__(self) -> int:
        return len(self._applied)

    def apply(self, record: DocumentRecord, offset: int, size_bytes: int, now_s: float) -> None:
        """Add a record; records must be applied in the order of the log."""
        of_kind = self._documents.setdefault((record.project_id, record.kind), {})
        held = of_kind.get(record.id, ())
        if held and held[-1].record.revision >= record.revision:
            self._lost.add(offset)
        else:
            logged = LoggedRecord(record, offset)
            of_kind[record.id] = (*held, logged) if record.is_versioned else (logged,)
        size_bytes += RECORD_OVERHEAD_BYTES
        self.size_bytes += size_bytes
        self._applied.append(_Applied(offset, now_s, size_bytes, record.key))

    def has_won(self, offset: int) -> bool:
        """Return whether the record at an offset that is not evicted took effect."""
        return offset not in self._lost

    def revisions(self, key: DocumentKey) -> tuple[LoggedRecord, ...]:
        """Return the kept revisions of a document, the oldest first."""
        return self._documents.get(key[:2], _NONE).get(key.id, ())

    def of_kind(self, project_id: str, kind: str) -> Iterable[tuple[LoggedRecord, ...]]:
        """Return the kept revisions of each document of a kind."""
        return self._documents.get((project_id, kind), _NONE).values()

    def evict(self, *, stored_up_to: int, applied_before_s: float) -> None:
        """Drop the records that are stored and were applied before a time."""
        self.stored_up_to = max(self.stored_up_to, stored_up_to)
        for each in self._evicted(applied_before_s):
            self.size_bytes -= each.size_bytes
            self._lost.discard(each.offset)
            of_kind = self._documents.get(each.key[:2], {})
            held = of_kind.get(each.key.id, ())
            kept = tuple(logged for logged in held if logged.offset != each.offset)
            if kept:
                of_kind[each.key.id] = kept
            elif held:
                del of_kind[each.key.id]
                if not of_kind:
                    del self._documents[each.key[:2]]

    def _evicted(self, applied_before_s: float) -> Iterator[_Applied]:
        while self._applied:
            oldest = self._applied[0]
            if oldest.offset >= self.stored_up_to or oldest.applied_s >= applied_before_s:
                return
            yield self._applied.popleft()
