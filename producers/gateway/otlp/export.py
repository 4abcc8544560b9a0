"""The light form of an export: what the mapper reads, whichever encoding it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

AttributeValue: TypeAlias = (
    str | int | float | bool | tuple[str, ...] | list[Any] | dict[str, Any] | None
)
"""Arrays are lists, of texts only tuples, key-value lists dicts, bytes base64 text; a double that JSON cannot hold is its name (``"NaN"``)."""


def array_of(values: list[AttributeValue]) -> AttributeValue:
    """An array's form: texts do not change and can be compared by hash, so many spans may share them."""
    return tuple(values) if values and all(type(v) is str for v in values) else values  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """What one export may hold.

    Too many spans, groups or values refuse the export. Everything else is cut to its limit, and the cut is counted in ``Export.limits_reached``.
    """

    spans_max: int = 50_000
    groups_max: int = 10_000
    """Resources and scopes, together."""
    values_max: int = 1_000_000
    """Attributes and what is in their arrays and key-value lists, all together."""
    json_values_max: int = 1_000_000
    """Values and members of a JSON body."""
    attributes_max: int = 2_000
    """Per span, event, resource and scope."""
    events_max: int = 2_000
    """Per span."""
    value_chars_max: int = 4_000_000
    """One string value; texts below 128 characters are never cut."""
    inline_values_max: int | None = None
    """Values above which ``MoreWorkError`` is raised, to decode the export in a thread."""
    depth_max: int = 32
    """Arrays and key-value lists inside each other."""


class SpanEvent(msgspec.Struct, gc=False):
    """Something that happened during a span."""

    name: str
    time_ns: int
    attributes: dict[str, AttributeValue]


class ExportedSpan(msgspec.Struct, gc=False):
    """One span. Ids are lower-case hex, times nanoseconds since the epoch with 0 for none."""

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
    """Why this span cannot be stored, if a time of it is none at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Who made a group of spans: a resource and an instrumentation scope. Compared by identity."""

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
    """A short code: ``invalid_span`` or ``processing_failed``."""
    detail: str
    payload: bytes
    """The span as it was sent."""


class Export(msgspec.Struct):
    """A decoded export."""

    groups: list[SpanGroup]
    limits_reached: dict[str, int]
    """How often something was cut, by the name of the limit."""
    refused: list[RefusedSpan] = []
    """Spans that could not be decoded and are in no group."""

    @property
    def span_count(self) -> int:
        return sum(len(group.spans) for group in self.groups)
