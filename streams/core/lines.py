"""One line of the events topic as stage 1 reads it: the contract, with long texts left as the JSON they came in.

``input``, ``output`` and ``metadata`` make up most of an event and mean nothing here: as ``msgspec.Raw`` they go from the event into the row without being
unescaped and escaped again. A ``Raw`` is a view of the record that it came in: whoever keeps a text, takes ``text_of`` it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from tracemill.contract import (
    COST_MAX_PICO,
    COUNT_MAX,
    Level,
    ObservationType,
    Score,
    TraceAttributes,
    TraceUpdate,
)

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Pico = Annotated[int, Meta(ge=0, le=COST_MAX_PICO)]
Number = Annotated[int, Meta(ge=-(2**31), lt=2**31)]

NO_TEXT: Final = Raw(b"null")
_NULL: Final = ord("n")
_QUOTE: Final = ord('"')


class ObservationLine(msgspec.Struct, kw_only=True, gc=False, tag_field="kind", tag="observation"):
    """``tracemill.contract.Observation`` field by field; a test compares them."""

    project_id: str
    trace_id: str
    id: str
    ts_us: int
    partial: bool = False
    type: ObservationType | None = None
    name: str | None = None
    parent_id: str | None = None
    environment: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    completion_start_us: int | None = None
    level: Level | None = None
    status_message: str | None = None
    version: str | None = None
    model: str | None = None
    model_parameters: str | None = None
    usage: dict[str, Count] | None = None
    cost: dict[str, Pico] | None = None
    input: Raw = NO_TEXT
    output: Raw = NO_TEXT
    metadata: Raw = NO_TEXT
    prompt_name: str | None = None
    prompt_version: Number | None = None
    service_name: str | None = None
    scope_name: str | None = None
    scope_version: str | None = None
    app_root: bool = False
    trace: TraceAttributes | None = None


Line = ObservationLine | TraceUpdate | Score

LINES: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
_texts: Final = msgspec.json.Decoder(str)


def settle_texts(line: ObservationLine) -> None:
    """Make sure that the texts are strings, once, when a line has been decoded; a null becomes ``NO_TEXT``.

    Raises:
        msgspec.ValidationError: one is JSON, but no string.
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


def text_of(raw: Raw) -> str:
    """A settled text to keep."""
    return "" if raw is NO_TEXT else _texts.decode(raw)


def kept(text: str) -> str:
    """A text of a row, which may still be the JSON that it came in."""
    return _texts.decode(text) if isinstance(text, Raw) else text
