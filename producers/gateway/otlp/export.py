"""Define a decoded export, the same for both encodings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

AttributeValue: TypeAlias = (
    str | int | float | bool | tuple[str, ...] | list[Any] | dict[str, Any] | None
)
"""Value of an attribute.

Arrays are lists, or tuples if they have only texts. Key-value lists are dicts, and bytes are base64
texts. A double that JSON cannot represent is its name, such as ``"NaN"``.
"""


def array_of(values: list[AttributeValue]) -> AttributeValue:
    """Return an array of texts as a tuple, which spans can share, and others as a list."""
    return tuple(values) if values and all(type(v) is str for v in values) else values  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """Limits of one export.

    An export with too many spans, groups or values is rejected. Everything else is truncated and
    counted in ``Export.limits_reached``.
    """

    spans_max: int = 50_000
    groups_max: int = 10_000
    """Resources and scopes, in total."""
    values_max: int = 1_000_000
    """Attributes, and the values in their arrays and key-value lists."""
    json_values_max: int = 1_000_000
    """Values and members of a JSON body."""
    attributes_max: int = 2_000
    """Per span, event, resource and scope."""
    events_max: int = 2_000
    """Per span."""
    value_chars_max: int = 4_000_000
    """Maximum length of a text; texts below 128 characters are never truncated."""
    inline_values_max: int | None = None
    """Values above which ``DecodeInThreadError`` is raised; None: no limit."""
    depth_max: int = 32
    """Maximum depth of nested arrays and key-value lists."""


class SpanEvent(msgspec.Struct, gc=False):
    """An event of a span."""

    name: str
    time_ns: int
    attributes: dict[str, AttributeValue]


class ExportedSpan(msgspec.Struct, gc=False):
    """A span. Ids are lower-case hex; times are nanoseconds since the epoch, 0 for unknown."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, AttributeValue]
    events: list[SpanEvent]
    status_code: int = 0
    status_message: str = ""
    fault: str = ""
    """Reason why the span cannot be stored: an invalid time; empty if it can be stored."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The resource and instrumentation scope of a group of spans. Compared by identity."""

    resource: dict[str, AttributeValue]
    scope_name: str = ""
    scope_version: str = ""
    scope: dict[str, AttributeValue] = field(default_factory=dict)
    """The scope's attributes."""


class SpanGroup(msgspec.Struct):
    """Spans of one origin."""

    origin: Origin
    spans: list[ExportedSpan]


class RefusedSpan(msgspec.Struct, frozen=True):
    """A span that could not be decoded."""

    place: str
    """Its path in the export: ``resourceSpans[0].scopeSpans[0].spans[3]``."""
    reason: str
    """A short code: ``invalid_span``, ``event_too_large`` or ``processing_failed``."""
    detail: str
    payload: bytes
    """The span as it was sent."""


class Export(msgspec.Struct):
    """A decoded export."""

    groups: list[SpanGroup]
    limits_reached: dict[str, int]
    """Number of truncations, by the name of the limit."""
    refused: list[RefusedSpan] = []
    """Spans that could not be decoded and are in no group."""

    @property
    def span_count(self) -> int:
        return sum(len(group.spans) for group in self.groups)
