"""What stage 1 tells stages 2 and 3: by how much a project's windows and spend changed.

One ``Delta`` per source record and project. ``partition`` and ``offset`` name the source record: a delta is applied only if its offset is above the last one
applied for its partition (or is that one, for another project), so sending it again changes nothing. Numbers may be negative: a correction takes back what it replaces.

On the topic the deltas of one source partition come in ascending source offset, over lines and over Kafka records (so never one Kafka record per project): the last offset
then tells what was applied. After a crash they come again from an earlier one.
"""

from __future__ import annotations

import msgspec

from tracemill.partitioning import partition_of


class WindowDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of one cell: a minute × environment × model × observation name."""

    window_s: int
    environment: str
    model: str
    name: str
    observations: int
    errors: int
    cost_pico: int
    usage: dict[str, int]
    latency_bins: dict[int, int]
    """Change of the count per sketch key (``streams.core.sketch.key_of`` of the latency in microseconds)."""


class SpendDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of the spend of a quarter of an hour × user × model × environment."""

    bucket_s: int
    user_id: str
    model: str
    environment: str
    cost_pico: int
    trace_id: str
    """The trace that moved it last: named by an alert that this delta triggers."""


class Delta(msgspec.Struct, array_like=True, gc=False):
    project_id: str
    partition: int
    offset: int
    windows: list[WindowDelta]
    spend: list[SpendDelta]


def partition_of_project(project_id: str, partitions: int) -> int:
    """The partition of ``deltas`` that holds a project."""
    return partition_of(project_id, "", partitions)
