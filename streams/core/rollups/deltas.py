"""Changes of a project's windows and spend, which stage 1 sends to stages 2 and 3.

One ``Delta`` per source record and project, or several ``parts_of`` it where it is large.
``partition`` and ``offset`` name the source record: a delta is applied only if its offset is above
the last one applied for its partition (or is that one, for another project or part), so sending it
again changes nothing. Numbers may be negative: a correction takes back what it replaces.

On the topic the deltas of one source partition come in ascending source offset, over lines and over Kafka records (so never one Kafka record per project): the last offset
then tells what was applied. After a crash they come again from an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from streams.core.observations.limits import DIMENSION_CHARS_MAX, ESCAPED_BYTES_MAX
from tracemill.partitioning import partition_of

CHANGE_MAX: Final = 2**53
"""The largest change of a count: a thousand of them do not overflow a row's column."""

Second = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What a column of times holds."""
Change = Annotated[int, Meta(ge=-CHANGE_MAX, le=CHANGE_MAX)]
SketchKey = Annotated[int, Meta(ge=-1, le=4_095)]
"""``streams.core.rollups.sketch`` has fewer."""
Offset = Annotated[int, Meta(ge=0, le=2**62)]


class WindowDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of one cell: a minute × environment × model × observation name."""

    window_s: Second
    environment: str
    model: str
    name: str
    observations: Change
    errors: Change
    cost_pico: int
    usage: dict[str, int]
    latency_bins: dict[SketchKey, Change]
    """Change of the count per sketch key (``streams.core.rollups.sketch.key_of`` of the latency in microseconds)."""


class SpendDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of the spend of a quarter of an hour × user × model × environment."""

    bucket_s: Second
    user_id: str
    model: str
    environment: str
    cost_pico: int
    trace_id: str
    """The trace that moved it last: named by an alert that this delta triggers."""


class Delta(msgspec.Struct, array_like=True, gc=False):
    project_id: str
    partition: Offset
    offset: Offset
    windows: list[WindowDelta]
    spend: list[SpendDelta]
    part: Offset = 0
    """Of several that one source record gives one project."""


PART_BYTES_MAX: Final = 512 * 2**10
"""Size of a part as JSON, as if every character were escaped; a larger change is a part alone."""
_FEW: Final = 64
"""Changes that fit into a record, whatever they are (``streams.core.observations.limits``)."""
_CHANGE_BYTES: Final = 256
"""Numbers and punctuation of a change."""
_AMOUNT_BYTES: Final = DIMENSION_CHARS_MAX * ESCAPED_BYTES_MAX + 24
_BIN_BYTES: Final = 32


def parts_of(delta: Delta) -> Iterator[Delta]:
    """Split ``delta`` into parts that fit into a record, always in the same way."""
    if len(delta.windows) + len(delta.spend) <= _FEW:
        yield delta
        return
    part = Delta(delta.project_id, delta.partition, delta.offset, [], [])
    size = 0
    for window in delta.windows:
        change_bytes = _window_bytes(window)
        if size and size + change_bytes > PART_BYTES_MAX:
            yield part
            part, size = _following(part), 0
        part.windows.append(window)
        size += change_bytes
    for spend in delta.spend:
        change_bytes = _spend_bytes(spend)
        if size and size + change_bytes > PART_BYTES_MAX:
            yield part
            part, size = _following(part), 0
        part.spend.append(spend)
        size += change_bytes
    yield part


def _following(part: Delta) -> Delta:
    return Delta(part.project_id, part.partition, part.offset, [], [], part.part + 1)


def _window_bytes(window: WindowDelta) -> int:
    chars = len(window.environment) + len(window.model) + len(window.name)
    return (
        _CHANGE_BYTES
        + chars * ESCAPED_BYTES_MAX
        + len(window.usage) * _AMOUNT_BYTES
        + len(window.latency_bins) * _BIN_BYTES
    )


def _spend_bytes(spend: SpendDelta) -> int:
    chars = len(spend.user_id) + len(spend.model) + len(spend.environment) + len(spend.trace_id)
    return _CHANGE_BYTES + chars * ESCAPED_BYTES_MAX


def partition_of_project(project_id: str, partitions: int) -> int:
    """The partition of ``deltas`` that holds a project."""
    return partition_of(project_id, "", partitions)
