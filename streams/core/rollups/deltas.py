"""Changes of a project's windows and spend, which stage 1 sends to stages 2 and 3.

One ``Delta`` per source record and project, or several ``parts_of`` it where it is large.
``partition`` and ``offset`` name the source record: a delta is applied only if its offset is above
the last one applied for its partition (or is that one, for another project or part), so sending it
again changes nothing. Numbers may be negative: a correction takes back what it replaces.

On the topic the deltas of one source partition come in ascending source offset, over lines and over Kafka records (so never one Kafka record per project): the last offset
then tells what was applied. After a crash they come again from an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import SPEND_KEY, WINDOW_KEY
from streams.core.dimensions.keys import (
    MORE_OF_SPEND,
    MORE_OF_WINDOWS,
    StartedKey,
    named,
    spend_key_of_change,
    window_key_of_change,
)
from streams.core.observations.limits import DIMENSION_CHARS_MAX, ESCAPED_BYTES_MAX
from tracemill.partitioning import partition_of

_WINDOW_PARTS: Final = 1 + len(WINDOW_KEY)
_SPEND_PARTS: Final = 1 + len(SPEND_KEY)
CHANGE_MAX: Final = 2**53
"""The largest change of a count: a thousand of them do not overflow a row's column."""

Second = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What a column of times holds."""
Change = Annotated[int, Meta(ge=-CHANGE_MAX, le=CHANGE_MAX)]
SketchKey = Annotated[int, Meta(ge=-1, le=4_095)]
"""``streams.core.rollups.sketch`` has fewer."""
Offset = Annotated[int, Meta(ge=0, le=2**62)]


ChangeT = TypeVar("ChangeT", bound=type[msgspec.Struct])


def _with_more(dimensions: Sequence[Dimension]) -> Callable[[ChangeT], ChangeT]:
    """Append the field ``more``, values by the names of their dimensions, if there are any."""

    def extended(change: ChangeT) -> ChangeT:
        if not dimensions:
            return change
        more: Any = ("more", dict[str, str], msgspec.field(default_factory=dict))
        return msgspec.defstruct(  # type: ignore[return-value]
            change.__name__, [more], bases=(change,), module=__name__, array_like=True, gc=False
        )

    return extended


@_with_more(MORE_OF_WINDOWS)
class WindowDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of one cell: a minute × the dimensions of windows."""

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


@_with_more(MORE_OF_SPEND)
class SpendDelta(msgspec.Struct, array_like=True, gc=False):
    """Change of the spend of a quarter of an hour × the dimensions of spend."""

    bucket_s: Second
    user_id: str
    model: str
    environment: str
    cost_pico: int
    trace_id: str
    """The trace that moved it last: named by an alert that this delta triggers."""


_window: Final[Any] = WindowDelta
_spend: Final[Any] = SpendDelta


def new_window(key: StartedKey) -> WindowDelta:
    """Return a change of nothing."""
    if not MORE_OF_WINDOWS:
        return _window(*key, 0, 0, 0, {}, {})  # type: ignore[no-any-return]
    more = named(MORE_OF_WINDOWS, key[_WINDOW_PARTS:])
    return _window(*key[:_WINDOW_PARTS], 0, 0, 0, {}, {}, more)  # type: ignore[no-any-return]


def new_spend(key: StartedKey, pico: int, trace_id: str) -> SpendDelta:
    """Return a change of spend."""
    if not MORE_OF_SPEND:
        return _spend(*key, pico, trace_id)  # type: ignore[no-any-return]
    more = named(MORE_OF_SPEND, key[_SPEND_PARTS:])
    return _spend(*key[:_SPEND_PARTS], pico, trace_id, more)  # type: ignore[no-any-return]


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
_MORE_CHARS: Final = 70
"""Of a dimension's name and its punctuation."""


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
    chars = sum(map(len, window_key_of_change(window))) + _MORE_CHARS * len(MORE_OF_WINDOWS)
    return (
        _CHANGE_BYTES
        + chars * ESCAPED_BYTES_MAX
        + len(window.usage) * _AMOUNT_BYTES
        + len(window.latency_bins) * _BIN_BYTES
    )


def _spend_bytes(spend: SpendDelta) -> int:
    chars = sum(map(len, spend_key_of_change(spend))) + len(spend.trace_id)
    chars += _MORE_CHARS * len(MORE_OF_SPEND)
    return _CHANGE_BYTES + chars * ESCAPED_BYTES_MAX


def partition_of_project(project_id: str, partitions: int) -> int:
    """The partition of ``deltas`` that holds a project."""
    return partition_of(project_id, "", partitions)
