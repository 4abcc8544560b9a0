"""Set the fields of events from the arguments of the tracer's methods.

Each kind of event has a table of functions that set a field, by the name of the argument. A setter
raises an exception for an invalid value; the caller reports it and sets the other fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypedDict, get_args

import msgspec

from tracemill.contract import Level, Observation, ObservationType, TraceAttributes
from tracemill.marks import cache_mark_in
from tracemill.reconciliation.objects import tier_in
from tracemill.texts import to_object_text, to_short_text, to_text
from tracemill.usage import Usage, picodollars_of, reconciled_of, stated_cost_of

SPAN_TYPES: Final = frozenset(get_args(ObservationType))
_LEVELS: Final = frozenset(get_args(Level))
_TAGS_MAX: Final = 100


class SpanDetails(TypedDict, total=False):
    """Fields of a span, a generation or an event.

    Times (``*_us``) are microseconds since the Unix epoch.

    Attributes:
        input: Any object. Strings are stored as they are, other values as JSON.
        output: Any object, stored like ``input``.
        metadata: A mapping. Another value is stored under the key ``metadata``.
        usage: Units by usage type that do not overlap (see ``Usage``), or the usage object of a
            provider as it is.
        cost: US dollars, as one amount or by usage type. It takes precedence over the cost that
            tracemill computes.
        level: DEBUG, DEFAULT, WARNING or ERROR.
        completion_start_us: Time of the first output token.
    """

    input: Any
    output: Any
    metadata: Any
    model: str
    model_parameters: Mapping[str, Any]
    usage: Usage | Mapping[str, Any]
    cost: Mapping[str, Decimal | str | int | float] | Decimal | str | int | float
    level: Level
    status_message: str
    version: str
    environment: str
    prompt_name: str
    prompt_version: int
    start_us: int
    end_us: int
    completion_start_us: int


class SpanFields(SpanDetails, total=False):
    """Fields that ``Span.update`` can set: those of ``SpanDetails``, the name and the type."""

    name: str | None
    type: ObservationType


class TraceDetails(TypedDict, total=False):
    """Fields of a trace.

    ``metadata``, ``input`` and ``output`` are as in ``SpanDetails``.

    Attributes:
        tags: At most 100 texts.
        external_id: An id that the application chose.
        start_us: Time at which the trace began, in microseconds since the Unix epoch.
    """

    user_id: str
    session_id: str
    release: str
    version: str
    public: bool
    tags: Iterable[str]
    metadata: Any
    input: Any
    output: Any
    external_id: str
    start_us: int


class TraceFields(TraceDetails, total=False):
    """Fields that ``Trace.update`` can set: those of ``TraceDetails`` and the name."""

    name: str | None


Setter = Callable[[Any, Any, int], None]


def _set(field: str, convert: Callable[[Any], Any]) -> Setter:
    def set_field(event: Any, value: Any, _limit: int) -> None:
        setattr(event, field, convert(value))

    return set_field


def _set_text(field: str) -> Setter:
    def set_field(event: Any, value: Any, limit: int) -> None:
        setattr(event, field, to_text(value, limit))

    return set_field


def _merge_metadata(event: Any, value: Any, limit: int) -> None:
    """Merge metadata by key into that of the event, and set the fields that it contains.

    A service tier from the usage takes precedence.
    """
    if isinstance(event, Observation) and isinstance(value, Mapping):
        event.service_tier = event.service_tier or tier_in(value) or None
        event.app_cache = cache_mark_in(value) or event.app_cache
    metadata = to_object_text(value, limit)
    if metadata is not None and event.metadata is not None:
        merged = {**msgspec.json.decode(event.metadata), **msgspec.json.decode(metadata)}
        metadata = to_object_text(merged, limit)
    event.metadata = metadata


def _set_parameters(event: Any, value: Any, limit: int) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"must be a mapping, not {type(value).__name__}")
    event.model_parameters = to_object_text(value, limit)


def _set_usage(event: Any, value: Any, _limit: int) -> None:
    """Set the counts of a usage, and its service tier and cost if it contains them."""
    found = reconciled_of(value)
    stated = stated_cost_of(value)
    if event.cost is None and isinstance(stated, int | float | str):
        event.cost = picodollars_of(stated)
    event.usage = found.counts
    event.usage_uncertain = found.uncertain or None
    event.service_tier = found.service_tier or event.service_tier


def _one_of(choices: frozenset[str]) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if type(value) is str and value in choices:
            return value
        choice = str(value).upper()
        if choice not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(sorted(choices))}")
        return choice

    return convert


def _tags(value: Iterable[Any]) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    return tuple(str(tag) for tag, _ in zip(given, range(_TAGS_MAX), strict=False))


SPAN_SETTERS: Final[Mapping[str, Setter]] = {
    "name": _set("name", to_short_text),
    "type": _set("type", _one_of(SPAN_TYPES)),
    "input": _set_text("input"),
    "output": _set_text("output"),
    "metadata": _merge_metadata,
    "model": _set("model", to_short_text),
    "model_parameters": _set_parameters,
    "usage": _set_usage,
    "cost": _set("cost", picodollars_of),
    "level": _set("level", _one_of(_LEVELS)),
    "status_message": _set_text("status_message"),
    "version": _set("version", to_short_text),
    "environment": _set("environment", to_short_text),
    "prompt_name": _set("prompt_name", to_short_text),
    "prompt_version": _set("prompt_version", int),
    "start_us": _set("start_us", int),
    "end_us": _set("end_us", int),
    "completion_start_us": _set("completion_start_us", int),
}

TRACE_SETTERS: Final[Mapping[str, Setter]] = {
    "name": _set("name", to_short_text),
    "user_id": _set("user_id", to_short_text),
    "session_id": _set("session_id", to_short_text),
    "release": _set("release", to_short_text),
    "version": _set("version", to_short_text),
    "public": _set("public", bool),
    "tags": _set("tags", _tags),
    "metadata": _merge_metadata,
    "input": _set_text("input"),
    "output": _set_text("output"),
    "external_id": _set("external_id", to_short_text),
    "start_us": _set("start_us", int),
}


def text_size(record: Observation | TraceAttributes) -> int:
    """Return the number of characters in the long texts of an observation or trace."""
    size = len(record.input or "") + len(record.output or "") + len(record.metadata or "")
    if isinstance(record, Observation):
        size += len(record.model_parameters or "") + len(record.status_message or "")
    return size
