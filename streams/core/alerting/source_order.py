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

    def is_new(self, delta: Delta) -> bool:
        """Record a delta; return whether it was not recorded before."""
        offset, name = delta.offset, name_of(delta)
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
