"""The first, the last and the root of a trace's observations, known without looking at all of them.

Of few observations all are looked at when one that mattered leaves. Of many, heaps are kept: what has left is dropped from them when it comes to the top, so a change
costs the logarithm of their number at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Final

from streams.core.observations import HAS_PARENT, Known

FEW: Final = 64
"""Up to so many observations are looked at one by one."""

_Entry = tuple[Any, int, Known]
"""Rank, number of the entry (so that no two are equal), observation."""


class Extremes:
    """Of ``observations``; ``enter`` and ``leave`` follow each change of it."""

    __slots__ = (
        "_firsts",
        "_heaps",
        "_lasts",
        "_observations",
        "_roots",
        "end_us",
        "root",
        "start_us",
    )

    def __init__(self, observations: Mapping[str, Known]) -> None:
        self._observations = observations
        self.start_us = 0
        """The least; 0: there is none."""
        self.end_us = 0
        self.root: Known | None = None
        self._heaps: tuple[_Heap, ...] = ()
        """Those of the following that there are."""
        self._firsts: _Heap | None = None
        self._lasts: _Heap | None = None
        self._roots: _Heap | None = None

    def enter(self, known: Known) -> None:
        start_us = known.start_us
        if not 0 < self.start_us <= start_us:
            self.start_us = start_us
        end_us = known.end_us or start_us
        self.end_us = max(self.end_us, end_us)
        if known.rootness != HAS_PARENT and (
            self.root is None or known.root_rank < self.root.root_rank
        ):
            self.root = known
        for heap in self._heaps:
            heap.push(known)

    def leave(self, known: Known) -> None:
        """``known`` is not among the observations any more."""
        end_us = known.end_us or known.start_us
        if len(self._observations) <= FEW:
            if self.start_us == known.start_us or self.end_us == end_us or self.root is known:
                self.start_us, self.end_us, self.root = 0, 0, None
                self._heaps, self._firsts, self._lasts, self._roots = (), None, None, None
                for other in self._observations.values():
                    self.enter(other)
            return
        if self.start_us == known.start_us:
            first = self.first()
            self.start_us = 0 if first is None else first.start_us
        if self.end_us == end_us:
            if self._lasts is None:
                self._lasts = self._kept(_Heap(_end_rank, self._observations))
            last = self._lasts.least()
            self.end_us = 0 if last is None else last.end_us or last.start_us
        if self.root is known:
            if self._roots is None:
                self._roots = self._kept(_Heap(_root_rank, self._observations, _may_be_root))
            self.root = self._roots.least()

    def first(self) -> Known | None:
        """The observation that began first, of several the one with the least id."""
        if len(self._observations) <= FEW:
            return min(self._observations.values(), key=_start_rank, default=None)
        if self._firsts is None:
            self._firsts = self._kept(_Heap(_start_rank, self._observations))
        return self._firsts.least()

    def _kept(self, heap: _Heap) -> _Heap:
        self._heaps = (*self._heaps, heap)
        return heap


def _start_rank(known: Known) -> tuple[int, str]:
    return known.start_us, known.id


def _end_rank(known: Known) -> int:
    return -(known.end_us or known.start_us)


def _root_rank(known: Known) -> tuple[int, int, str]:
    return known.root_rank


def _may_be_root(known: Known) -> bool:
    return known.rootness != HAS_PARENT


class _Heap:
    """The observations of a trace by rank, those that have left it among them until they come to the top or are too many."""

    def __init__(
        self,
        rank: Callable[[Known], Any],
        observations: Mapping[str, Known],
        takes: Callable[[Known], bool] = lambda _known: True,
    ) -> None:
        self._rank = rank
        self._observations = observations
        self._takes = takes
        self._pushed = 0
        self._entries: list[_Entry] = []
        self._rebuild()

    def push(self, known: Known) -> None:
        if not self._takes(known):
            return
        self._pushed += 1
        heappush(self._entries, (self._rank(known), self._pushed, known))
        if len(self._entries) > 2 * len(self._observations) + FEW:
            self._rebuild()

    def least(self) -> Known | None:
        entries, observations = self._entries, self._observations
        while entries:
            known = entries[0][2]
            if observations.get(known.id) is known:
                return known
            heappop(entries)
        return None

    def _rebuild(self) -> None:
        self._entries = list(self._present())
        heapify(self._entries)

    def _present(self) -> Iterator[_Entry]:
        for known in self._observations.values():
            if self._takes(known):
                self._pushed += 1
                yield self._rank(known), self._pushed, known
