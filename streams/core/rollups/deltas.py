"""Define the changes of windows and spend that stage 1 sends to stage 2 and to alerting.

There is one ``Delta`` per source record and project; ``parts_of`` splits large ones. ``partition``
and ``offset`` identify the source record. A delta is applied only if its offset is above the last
applied offset of its partition, or if it is equal and the project or the part differs. So sending a
delta again changes nothing. Numbers may be negative, because a correction subtracts the values that
it replaces.

Deltas of one source partition are sent in ascending source offset, across lines and Kafka records.
So the last applied offset determines all applied deltas, also if deltas are sent again from an
earlier offset after a crash. Therefore a Kafka record must not contain the deltas of a single
project only: in the next record, the deltas of other projects would have lower offsets, and would
not be applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import SPEND_KEY, WINDOW_KEY
from streams.core.dimensions.compiling import compiled
from streams.core.dimensions.keys import (
    MORE_OF_SPEND,
    MORE_OF_WINDOWS,
    StartedKey,
    named,
    spend_key_of_delta,
    window_key_of_delta,
)
from streams.core.observations.limits import DIMENSION_CHARS_MAX, ESCAPED_BYTES_MAX
from tracemill.partitioning import partition_of

_FIRST_PARTS: Final = 4
"""Parts of a key before the first amounts; the others follow, because they are newer."""
_WINDOW_PARTS: Final = 1 + len(WINDOW_KEY)
_SPEND_PARTS: Final = 1 + len(SPEND_KEY)
CHANGE_MAX: Final = 2**53
"""Maximum change of a count; a thousand such changes do not overflow a column."""

Second = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""Range of the store's time columns."""
Change = Annotated[int, Meta(ge=-CHANGE_MAX, le=CHANGE_MAX)]
SketchKey = Annotated[int, Meta(ge=-1, le=4_095)]
"""Range of sketch keys; it is wider than that of ``streams.core.rollups.sketch``."""
Offset = Annotated[int, Meta(ge=0, le=2**62)]


ChangeT = TypeVar("ChangeT", bound=type[msgspec.Struct])


def _with_more(dimensions: Sequence[Dimension]) -> Callable[[ChangeT], ChangeT]:
    """Append the field ``more``, with values by dimension name, if there are more dimensions."""

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
    """A change of one window: ten seconds × the dimensions of windows."""

    window_s: Second
    environment: str
    model: str
    name: str
    observations: Change
    errors: Change
    cost_pico: int
    usage: dict[str, int]
    latency_bins: dict[SketchKey, Change]
    """Changes of the counts by sketch key (``streams.core.rollups.sketch.key_of``)."""
    type: str = ""
    level: str = ""
    prompt_name: str = ""
    prompt_version: str = ""
    provider: str = ""
    service_tier: str = ""
    ttft_bins: dict[SketchKey, Change] = {}
    """The same for microseconds to the first token."""
    rate_bins: dict[SketchKey, Change] = {}
    """The same for output tokens per second × 1,000."""
    unpriced: Change = 0
    """Observations with usage but without a price."""
    cache_exact: Change = 0
    """Observations that a cache of the application answered, by an answer to the same request."""
    cache_semantic: Change = 0
    """The same, by an answer to a similar request."""
    cache_miss: Change = 0
    """Observations for which a cache of the application had no answer."""
    cached_saved_pico: int = 0
    """Picodollars that prompt caches saved; negative if writing to them cost more."""
    app_saved_pico: int = 0
    """Picodollars that caches of the application saved."""
    error_types: dict[str, Change] = {}
    """Errors by class, at most ``ERROR_TYPES_MAX``; the others are counted as ``other``."""
    trace_id: str = ""
    """The trace of the last observation that was added: an example."""


@_with_more(MORE_OF_SPEND)
class SpendDelta(msgspec.Struct, array_like=True, gc=False):
    """A change of spend: ten seconds × the dimensions of spend.

    All observations count, also those without cost. The fields after ``trace_id`` have defaults
    because older deltas lack them.
    """

    bucket_s: Second
    user_id: str
    model: str
    environment: str
    cost_pico: int
    trace_id: str
    """The trace of the last change; alerts triggered by this delta refer to it."""
    observations: Change = 0
    errors: Change = 0
    input_tokens: int = 0
    """Tokens of the input, with cached ones."""
    output_tokens: int = 0
    """Tokens of the output, with those of reasoning."""
    total_tokens: int = 0
    session_id: str = ""
    trace_name: str = ""
    tags: str = ""
    user_tier: str = ""
    provider: str = ""
    prompt_name: str = ""
    api_key: str = ""
    unpriced: Change = 0
    """Observations with usage but without a price."""


def _parts(begin: int, end: int) -> str:
    """Return the expression of parts of a key, as arguments of a call."""
    return ", ".join(f"key[{part}]" for part in range(begin, end))


_new_window: Final[Callable[[StartedKey], Any]] = compiled(
    "key",
    f"new({_parts(0, _FIRST_PARTS)}, 0, 0, 0, {{}}, {{}}, {_parts(_FIRST_PARTS, _WINDOW_PARTS)})",
    {"new": WindowDelta},
)
_new_spend: Final[Callable[..., Any]] = compiled(
    "key, trace_id, pico, observations, errors, inputs, outputs, total, unpriced",
    f"new({_parts(0, _FIRST_PARTS)}, pico, trace_id, observations, errors, inputs, outputs, total,"
    f" {_parts(_FIRST_PARTS, _SPEND_PARTS)}, unpriced)",
    {"new": SpendDelta},
)
"""Twice as fast as calls with slices of the key."""


def new_window(key: StartedKey) -> WindowDelta:
    """Return an empty change of a window."""
    change = _new_window(key)
    if MORE_OF_WINDOWS:
        change.more = named(MORE_OF_WINDOWS, key[_WINDOW_PARTS:])
    return change  # type: ignore[no-any-return]


def new_spend(key: StartedKey, trace_id: str, amounts: Sequence[int]) -> SpendDelta:
    """Return a change of spend (``SpendAmounts``)."""
    change = _new_spend(key, trace_id, *amounts)
    if MORE_OF_SPEND:
        change.more = named(MORE_OF_SPEND, key[_SPEND_PARTS:])
    return change  # type: ignore[no-any-return]


class Delta(msgspec.Struct, array_like=True, gc=False):
    """The change of one project by one source record, or a part of it."""

    project_id: str
    partition: Offset
    offset: Offset
    windows: list[WindowDelta]
    spend: list[SpendDelta]
    part: Offset = 0
    """Number of the part; 0 is the first or only part."""


PART_BYTES_MAX: Final = 512 * 2**10
"""Maximum size of a part as JSON with all characters escaped. A single larger change is one
part."""
_FEW: Final = 64
"""Number of changes that always fit into a record (``streams.core.observations.limits``)."""
_CHANGE_BYTES: Final = 256
"""Maximum size of the numbers and punctuation of a change."""
_AMOUNT_BYTES: Final = DIMENSION_CHARS_MAX * ESCAPED_BYTES_MAX + 24
_BIN_BYTES: Final = 32
_MORE_CHARS: Final = 70
"""Maximum size of a dimension's name and its punctuation."""


def parts_of(delta: Delta) -> Iterator[Delta]:
    """Split ``delta`` into parts that fit into a record, deterministically."""
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
    chars = sum(map(len, window_key_of_delta(window))) + len(window.trace_id)
    chars += _MORE_CHARS * len(MORE_OF_WINDOWS)
    return (
        _CHANGE_BYTES
        + chars * ESCAPED_BYTES_MAX
        + (len(window.usage) + len(window.error_types)) * _AMOUNT_BYTES
        + (len(window.latency_bins) + len(window.ttft_bins) + len(window.rate_bins)) * _BIN_BYTES
    )


def _spend_bytes(spend: SpendDelta) -> int:
    chars = sum(map(len, spend_key_of_delta(spend))) + len(spend.trace_id)
    chars += _MORE_CHARS * len(MORE_OF_SPEND)
    return _CHANGE_BYTES + chars * ESCAPED_BYTES_MAX


def partition_of_project(project_id: str, partitions: int) -> int:
    """Return the partition of ``deltas`` that contains a project."""
    return partition_of(project_id, "", partitions)
