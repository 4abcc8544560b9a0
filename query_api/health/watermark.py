"""Compute up to when all accepted events are stored, from offsets alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

PENDING_MAX: Final = 120
"""Maximum number of times that wait at a stage; above it, every second one is dropped."""

PartitionT = TypeVar("PartitionT", bound=Hashable)


class Watermark(Generic[PartitionT]):
    """The time before which all accepted events have passed every stage.

    At a time, the ends of the first stage's partitions are noted. When they are processed, all that
    these events produced is in the next stage's partitions, whose ends are noted in turn, and so on
    to the last stage. So records that a stage has just produced never count as stored.
    """

    def __init__(self, stages: Sequence[Collection[PartitionT]]) -> None:
        self._stages = [tuple(stage) for stage in stages]
        self._pending: list[deque[tuple[int, dict[PartitionT, int]]]] = [deque() for _ in stages]
        self.stored_until_us: int | None = None
        """None: not known yet."""

    def observe(
        self, at_us: int, ends: Mapping[PartitionT, int], reached: Mapping[PartitionT, int]
    ) -> None:
        """Note the offsets of a check.

        Args:
            at_us: a time before ``ends`` were read.
            ends: the ends of all partitions.
            reached: the offsets up to which records are processed, read before ``ends``.
        """
        arrived: int | None = at_us
        for stage, pending in zip(self._stages, self._pending, strict=True):
            if arrived is not None:
                if len(pending) >= PENDING_MAX:
                    kept = list(pending)[::2]
                    pending.clear()
                    pending.extend(kept)
                pending.append((arrived, {each: ends[each] for each in stage}))
            arrived = None
            while pending and _is_reached(pending[0][1], reached):
                arrived, _ = pending.popleft()
        if arrived is not None:
            self.stored_until_us = arrived


def _is_reached(ends: Mapping[PartitionT, int], reached: Mapping[PartitionT, int]) -> bool:
    return all(reached.get(each, -1) >= end for each, end in ends.items())
