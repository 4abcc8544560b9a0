"""Decode lines of the events topic: the contract's events, with long texts left as JSON.

``input``, ``output`` and ``metadata`` make up most of an event. As ``msgspec.Raw`` they pass from
the event into the row without being decoded and encoded again. A ``Raw`` is a view of its whole
record, so code that keeps a text has to copy it with ``decoded_text``.

The fields have the contract's types with the limits of ``streams.core.observations.limits``. The
decoder checks them at almost no cost; only events that exceed one take the slow path of
``line_of``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from streams.core.observations.bounding import Bounds, bounded_event
from streams.core.observations.limits import (
    DIMENSION_CHARS_MAX,
    ID_CHARS_MAX,
    LONG_CHARS_MAX,
    REPORTED_USAGE_CHARS_MAX,
    SCORE_TEXT_CHARS_MAX,
    TRACE_TAGS_MAX,
    USAGE_TYPES_MAX,
)
from tracemill.contract import (
    COST_MAX_PICO,
    COUNT_MAX,
    AppCache,
    Level,
    ObservationType,
    Score,
    TraceAttributes,
    TraceDeletion,
    TraceUpdate,
    decode_event,
    encode_event,
)

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Pico = Annotated[int, Meta(ge=0, le=COST_MAX_PICO)]
Number = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
Id = Annotated[str, Meta(max_length=ID_CHARS_MAX)]
Dimension = Annotated[str, Meta(max_length=DIMENSION_CHARS_MAX)]
LongText = Annotated[str, Meta(max_length=LONG_CHARS_MAX)]
ScoreText = Annotated[str, Meta(max_length=SCORE_TEXT_CHARS_MAX)]
Tags = Annotated[tuple[Dimension, ...], Meta(max_length=TRACE_TAGS_MAX)]
Usage = Annotated[dict[Dimension, Count], Meta(max_length=USAGE_TYPES_MAX)]
ReportedUsage = Annotated[str, Meta(max_length=REPORTED_USAGE_CHARS_MAX)]
Cost = Annotated[dict[Dimension, Pico], Meta(max_length=USAGE_TYPES_MAX)]

NO_TEXT: Final = Raw(b"null")
_NULL: Final = ord("n")
_QUOTE: Final = ord('"')


class AttributesLine(TraceAttributes, kw_only=True, omit_defaults=True, gc=False):
    """``TraceAttributes`` within limits; texts and metadata are bounded when they are merged."""

    name: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    release: Id | None = None
    version: Id | None = None
    tags: Tags | None = None
    external_id: Id | None = None


class ObservationLine(msgspec.Struct, kw_only=True, gc=False, tag_field="kind", tag="observation"):
    """``tracemill.contract.Observation`` within limits; a test compares the fields."""

    project_id: str
    trace_id: Id
    id: Id
    ts_us: int
    partial: bool = False
    type: ObservationType | None = None
    name: Id | None = None
    parent_id: Id | None = None
    environment: Dimension | None = None
    start_us: int | None = None
    end_us: int | None = None
    completion_start_us: int | None = None
    level: Level | None = None
    status_message: LongText | None = None
    error_type: Dimension | None = None
    version: Id | None = None
    model: Id | None = None
    model_parameters: LongText | None = None
    usage: Usage | None = None
    reported_usage: ReportedUsage | None = None
    usage_uncertain: Id | None = None
    service_tier: Id | None = None
    provider: Id | None = None
    cost: Cost | None = None
    app_cache: AppCache | None = None
    input: Raw = NO_TEXT
    output: Raw = NO_TEXT
    metadata: Raw = NO_TEXT
    prompt_name: Id | None = None
    prompt_version: Number | None = None
    service_name: Id | None = None
    scope_name: Id | None = None
    scope_version: Id | None = None
    app_root: bool = False
    app_entry: bool = False
    api_key: Id | None = None
    trace: AttributesLine | None = None


class UpdateLine(
    TraceUpdate, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="trace"
):
    """``TraceUpdate`` within limits."""

    trace_id: Id
    environment: Dimension | None = None
    trace: AttributesLine


class ScoreLine(Score, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="score"):
    """``Score`` within limits."""

    id: Id
    name: Id
    string_value: ScoreText | None = None
    trace_id: Id | None = None
    observation_id: Id | None = None
    session_id: Id | None = None
    dataset_run_id: Id | None = None
    environment: Dimension | None = None
    comment: ScoreText | None = None
    metadata: ScoreText | None = None
    config_id: Id | None = None
    queue_id: Id | None = None
    author_user_id: Id | None = None


class DeletionLine(
    TraceDeletion,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="kind",
    tag="trace_deletion",
):
    """``TraceDeletion`` within limits."""

    trace_id: Id
    api_key: Id | None = None


Line = ObservationLine | UpdateLine | ScoreLine | DeletionLine

LINES: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_texts: Final = msgspec.json.Decoder(str)


class LongIdentityError(ValueError):
    """The id of a project or trace is too long; the partition depends on it, so it is not cut."""


def line_of(payload: bytes, bounds: Bounds) -> Line:
    """Decode one event and cut what is too long in it.

    Raises:
        msgspec.DecodeError: the line is not JSON.
        msgspec.ValidationError: the line is JSON, but no event; the message names the field.
        LongIdentityError: the id of its project or trace is too long.
    """
    if len(payload) <= bounds.limits.texts_bytes_max:
        try:
            return LINES.decode(payload)
        except msgspec.ValidationError:
            pass  # invalid, or only too long
    event = decode_event(payload)
    for field in ("project_id", *(() if isinstance(event, Score) else ("trace_id",))):
        _check_identity(field, getattr(event, field))
    return LINES.decode(encode_event(bounded_event(event, bounds)))


def _check_identity(field: str, value: Any) -> None:
    if len(value) > ID_CHARS_MAX:
        message = f"{field} has {len(value)} characters, {ID_CHARS_MAX} are allowed"
        raise LongIdentityError(message)


def validate_texts(line: ObservationLine) -> None:
    """Check that the texts of a decoded line are strings; replace nulls by ``NO_TEXT``.

    Raises:
        msgspec.ValidationError: a text is JSON, but no string.
    """
    if line.input is not NO_TEXT and memoryview(line.input)[0] != _QUOTE:
        line.input = _null(line.input, "input")
    if line.output is not NO_TEXT and memoryview(line.output)[0] != _QUOTE:
        line.output = _null(line.output, "output")
    if line.metadata is not NO_TEXT and memoryview(line.metadata)[0] != _QUOTE:
        line.metadata = _null(line.metadata, "metadata")


def _null(raw: Raw, field: str) -> Raw:
    if memoryview(raw)[0] == _NULL:
        return NO_TEXT
    raise msgspec.ValidationError(f"Expected `str | null` - at `$.{field}`")


def decoded_text(raw: Raw) -> str:
    """Return a validated text of an event as a string of its own."""
    return "" if raw is NO_TEXT else _texts.decode(raw)


def decoded_row_text(text: str) -> str:
    """Return a text of a row as a string; it may still be the JSON of its event."""
    return _texts.decode(text) if isinstance(text, Raw) else text
