"""Recognize deltas that the log contains several times."""

from __future__ import annotations

from collections.abc import Mapping

from streams.core.rollups.deltas import Delta

Applied = dict[int, tuple[int, list[str]]]
"""By source partition: the last source offset, and the names of the deltas of it."""


def name_of(delta: Delta) -> str:
    """Return what distinguishes a delta from others of the same source record."""
    return f"{delta.project_id}\n{delta.part}" if delta.part else delta.project_id


class SourceOrder:
    """The last source record of each source partition (``streams.core.rollups.deltas``)."""

    def __init__(self, applied: Mapping[int, tuple[int, list[str]]]) -> None:
        self._applied = {number: (offset, set(done)) for number, (offset, done) in applied.items()}
        self._first: dict[int, tuple[int, set[str]]] = {}

    def is_new(self, delta: Delta) -> bool:
        """Record a delta; return whether it was not recorded before."""
        offset, name = delta.offset, name_of(delta)
        first = self._first.setdefault(delta.partition, (offset, set()))
        if first[0] == offset:
            first[1].add(name)
        last = self._applied.get(delta.partition)
        if last is None or offset > last[0]:
            self._applied[delta.partition] = (offset, {name})
            return True
        if offset == last[0] and name not in last[1]:
            last[1].add(name)
            return True
        return False

    def applied(self) -> Applied:
        """Return the content, for a checkpoint."""
        return {number: (offset, sorted(done)) for number, (offset, done) in self._applied.items()}

    def first(self) -> Applied:
        """Return the first record of each source partition, for an ``EarlierOrder``."""
        return {number: (offset, sorted(done)) for number, (offset, done) in self._first.items()}


class EarlierOrder:
    """Recognize deltas of an earlier part of the log that a later part contains again.

    Stage 1 repeats all deltas from some source record on, so a later part contains everything from
    its first record on.
    """

    def __init__(self, later: Mapping[int, tuple[int, list[str]]]) -> None:
        """Create an order of a part of the log before one whose first records are ``later``."""
        self._later = later
        self._order = SourceOrder({})

    def is_new(self, delta: Delta) -> bool:
        """Return whether a delta is neither repeated in this part nor contained in the later."""
        later = self._later.get(delta.partition)
        if later is not None and (
            delta.offset > later[0] or (delta.offset == later[0] and name_of(delta) in later[1])
        ):
            return False
        return self._order.is_new(delta)

    def first(self) -> Applied:
        """Return the first records of this part and the later one together."""
        return {**self._later, **self._order.first()}
