"""Keep the first, the last and the root observation of a large trace in heaps.

Observations that left the trace are removed from a heap when they reach its top, so a change costs
at most the logarithm of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Final

from streams.core.observations.state import HAS_PARENT, ObservationState

FEW: Final = 64
"""Up to this number, observations are scanned instead."""

_Entry = tuple[Any, int, ObservationState]
"""Rank, number of the entry (so that no two are equal), observation."""


class Extremes:
    """Track the extremes of ``observations``; call ``enter`` for each that is added."""

    __slots__ = ("_firsts", "_heaps", "_lasts", "_observations", "_roots")

    def __init__(self, observations: Mapping[str, ObservationState]) -> None:
        self._observations = observations
        self._heaps: tuple[_Heap, ...] = ()
        """Heaps that are in use."""
        self._firsts: _Heap | None = None
        self._lasts: _Heap | None = None
        self._roots: _Heap | None = None

    def enter(self, state: ObservationState) -> None:
        for heap in self._heaps:
            heap.push(state)

    def first(self) -> ObservationState | None:
        """Return the observation that began first; the least id decides between equal starts."""
        if self._firsts is None:
            self._firsts = self._kept(_Heap(start_rank, self._observations))
        return self._firsts.least()

    def last(self) -> ObservationState | None:
        """Return the observation that ended last."""
        if self._lasts is None:
            self._lasts = self._kept(_Heap(_end_rank, self._observations))
        return self._lasts.least()

    def root(self) -> ObservationState | None:
        """Return the root observation."""
        if self._roots is None:
            self._roots = self._kept(_Heap(_root_rank, self._observations, _may_be_root))
        return self._roots.least()

    def _kept(self, heap: _Heap) -> _Heap:
        self._heaps = (*self._heaps, heap)
        return heap


def start_rank(state: ObservationState) -> tuple[int, str]:
    return state.start_us, state.id


def _end_rank(state: ObservationState) -> int:
    return -(state.end_us or state.start_us)


def _root_rank(state: ObservationState) -> tuple[int, int, str]:
    return state.root_rank


def _may_be_root(state: ObservationState) -> bool:
    return state.rootness != HAS_PARENT


class _Heap:
    """A heap of a trace's observations by rank, least first.

    Observations that left the trace are removed when they reach the top, or by a rebuild when the
    heap has more than twice as many entries as the trace has observations.
    """

    def __init__(
        self,
        rank: Callable[[ObservationState], Any],
        observations: Mapping[str, ObservationState],
        takes: Callable[[ObservationState], bool] = lambda _state: True,
    ) -> None:
        self._rank = rank
        self._observations = observations
        self._takes = takes
        self._pushed = 0
        self._entries: list[_Entry] = []
        self._rebuild()

    def push(self, state: ObservationState) -> None:
        if not self._takes(state):
            return
        self._pushed += 1
        heappush(self._entries, (self._rank(state), self._pushed, state))
        if len(self._entries) > 2 * len(self._observations) + FEW:
            self._rebuild()

    def least(self) -> ObservationState | None:
        entries, observations = self._entries, self._observations
        while entries:
            state = entries[0][2]
            if observations.get(state.id) is state:
                return state
            heappop(entries)
        return None

    def _rebuild(self) -> None:
        self._entries = list(self._present())
        heapify(self._entries)

    def _present(self) -> Iterator[_Entry]:
        for state in self._observations.values():
            if self._takes(state):
                self._pushed += 1
                yield self._rank(state), self._pushed, state
