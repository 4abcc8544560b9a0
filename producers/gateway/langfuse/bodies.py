"""Define the bodies of the ingestion and score routes.

Clients send fields that are not listed here; they are ignored. A field of the wrong type is an
error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec

NO_CONTROLS: Final = r"\A[^\x00-\x1f\x7f]*\Z"
"""Pattern of ids, which must be usable in URLs."""
Name = Annotated[str, msgspec.Meta(max_length=1000)]
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=800, pattern=NO_CONTROLS)]
EntityId = Annotated[str, msgspec.Meta(min_length=1, max_length=800, pattern=NO_CONTROLS)]
OptionalId = Annotated[str, msgspec.Meta(max_length=800, pattern=NO_CONTROLS)]
"""An id that some clients send empty if they have none."""
Reference = Annotated[str, msgspec.Meta(pattern=NO_CONTROLS)]
Level = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
DataType = Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]
Source = Literal["API", "EVAL", "ANNOTATION"]
PromptVersion = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Absent = msgspec.Raw(b"")
_CHOICES: Final = {
    "dataType": get_args(DataType),
    "source": get_args(Source),
    "level": get_args(Level),
}
"""Allowed values, by the field."""


def fault_text(error: Exception) -> str:
    """Return the message of an error of decoding a body, with the allowed values of a field."""
    text = str(error)
    described, at, place = text.partition(" - at `$")
    allowed = _CHOICES.get(place.rstrip("`").rpartition(".")[2])
    if allowed is None or not described.startswith("Invalid enum value"):
        return text
    return f"{described}, must be one of {', '.join(allowed)}{at}{place}"


class _Body(msgspec.Struct, rename="camel"):
    pass


class IngestionBatch(_Body, kw_only=True):
    """Body of ``POST /api/public/ingestion``, whose events are decoded separately."""

    batch: list[msgspec.Raw]
    metadata: msgspec.Raw = Absent


class IngestionEvent(_Body, kw_only=True):
    """An event of a batch; the type determines the body."""

    id: EventId
    type: str
    timestamp: str
    body: msgspec.Raw


class EventHead(_Body, kw_only=True):
    """The id of an event, for the response if the rest of the event is invalid."""

    id: EventId


class TraceBody(_Body, kw_only=True):
    """Body of ``trace-create``, which also updates a trace."""

    id: EntityId | None = None
    timestamp: str | None = None
    name: Name | None = None
    external_id: str | None = None
    input: msgspec.Raw = Absent
    output: msgspec.Raw = Absent
    session_id: Reference | None = None
    user_id: str | None = None
    environment: str | None = None
    metadata: msgspec.Raw = Absent
    release: str | None = None
    version: str | None = None
    public: bool | None = None
    tags: list[str] | None = None


class ObservationBody(_Body, kw_only=True):
    """Body of all observation events; each type uses some of the fields."""

    id: EntityId | None = None
    trace_id: OptionalId | None = None
    parent_observation_id: Reference | None = None
    type: str | None = None
    name: str | None = None
    environment: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    completion_start_time: str | None = None
    input: msgspec.Raw = Absent
    output: msgspec.Raw = Absent
    metadata: msgspec.Raw = Absent
    level: Level | None = None
    status_message: str | None = None
    version: str | None = None
    model: str | None = None
    model_parameters: dict[str, msgspec.Raw] | None = None
    usage: msgspec.Raw = Absent
    usage_details: msgspec.Raw = Absent
    cost_details: msgspec.Raw = Absent
    prompt_name: str | None = None
    prompt_version: PromptVersion | None = None


class ScoreBody(_Body, kw_only=True):
    """Body of ``score-create`` and of ``POST /api/public/scores``."""

    id: EntityId | None = None
    name: str | None = None
    value: float | str | bool
    timestamp: str | None = None
    trace_id: EntityId | None = None
    session_id: EntityId | None = None
    dataset_run_id: EntityId | None = None
    observation_id: EntityId | None = None
    data_type: DataType | None = None
    config_id: str | None = None
    comment: str | None = None
    metadata: msgspec.Raw = Absent
    environment: str | None = None
    queue_id: str | None = None
    source: Source | None = None
    author_user_id: str | None = None


class LogBody(_Body, kw_only=True):
    """Body of ``sdk-log``: a log entry of an SDK."""

    log: msgspec.Raw
