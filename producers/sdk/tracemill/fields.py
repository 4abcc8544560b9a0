"""What an application may say about a span or a trace, and how each saying enters the event.

One table per kind: the name of an argument → a function that puts its value into the event. A value that nobody can use raises here, and is reported
one level up, argument by argument: the others still count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypedDict, get_args

import msgspec

from tracemill.contract import Level, Observation, ObservationType, TraceAttributes
from tracemill.texts import object_text_of, text_of, word_of
from tracemill.usage import Usage, counts_of, picodollars_of

SPAN_TYPES: Final = frozenset(get_args(ObservationType))
_LEVELS: Final = frozenset(get_args(Level))
_TAGS_MAX: Final = 100


class SpanDetails(TypedDict, total=False):
    """Times are microseconds since the epoch. ``cost`` is in US dollars, by usage type or as one amount."""

    input: Any
    output: Any
    metadata: Any
    model: str
    model_parameters: Mapping[str, Any]
    usage: Usage | Mapping[str, int]
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
    """What can be said of a span when it has begun."""

    name: str | None
    type: ObservationType


class TraceDetails(TypedDict, total=False):
    """What is true of a whole trace."""

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
    """What can be said of a trace when it has begun."""

    name: str | None


Setter = Callable[[Any, Any, int], None]


def _with(field: str, form: Callable[[Any], Any]) -> Setter:
    def put(event: Any, value: Any, _limit: int) -> None:
        setattr(event, field, form(value))

    return put


def _with_text(field: str) -> Setter:
    def put(event: Any, value: Any, limit: int) -> None:
        setattr(event, field, text_of(value, limit))

    return put


def _put_metadata(event: Any, value: Any, limit: int) -> None:
    """Said twice, metadata merges key by key."""
    said = object_text_of(value, limit)
    if said is not None and event.metadata is not None:
        merged = {**msgspec.json.decode(event.metadata), **msgspec.json.decode(said)}
        said = object_text_of(merged, limit)
    event.metadata = said


def _put_parameters(event: Any, value: Any, limit: int) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"a mapping, not {type(value).__name__}")
    event.model_parameters = object_text_of(value, limit)


def _one_of(choices: frozenset[str]) -> Callable[[Any], str]:
    def form(value: Any) -> str:
        if type(value) is str and value in choices:
            return value
        word = str(value).upper()
        if word not in choices:
            raise ValueError(f"{value!r} is none of {', '.join(sorted(choices))}")
        return word

    return form


def _tags(value: Iterable[Any]) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    return tuple(str(tag) for tag, _ in zip(given, range(_TAGS_MAX), strict=False))


SPAN_SETTERS: Final[Mapping[str, Setter]] = {
    "name": _with("name", word_of),
    "type": _with("type", _one_of(SPAN_TYPES)),
    "input": _with_text("input"),
    "output": _with_text("output"),
    "metadata": _put_metadata,
    "model": _with("model", word_of),
    "model_parameters": _put_parameters,
    "usage": _with("usage", counts_of),
    "cost": _with("cost", picodollars_of),
    "level": _with("level", _one_of(_LEVELS)),
    "status_message": _with_text("status_message"),
    "version": _with("version", word_of),
    "environment": _with("environment", word_of),
    "prompt_name": _with("prompt_name", word_of),
    "prompt_version": _with("prompt_version", int),
    "start_us": _with("start_us", int),
    "end_us": _with("end_us", int),
    "completion_start_us": _with("completion_start_us", int),
}

TRACE_SETTERS: Final[Mapping[str, Setter]] = {
    "name": _with("name", word_of),
    "user_id": _with("user_id", word_of),
    "session_id": _with("session_id", word_of),
    "release": _with("release", word_of),
    "version": _with("version", word_of),
    "public": _with("public", bool),
    "tags": _with("tags", _tags),
    "metadata": _put_metadata,
    "input": _with_text("input"),
    "output": _with_text("output"),
    "external_id": _with("external_id", word_of),
    "start_us": _with("start_us", int),
}


def text_size(said: Observation | TraceAttributes) -> int:
    """Characters of an event's long texts."""
    size = len(said.input or "") + len(said.output or "") + len(said.metadata or "")
    if isinstance(said, Observation):
        size += len(said.model_parameters or "") + len(said.status_message or "")
    return size
