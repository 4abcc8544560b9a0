"""The event contract: what one line of a record on the events topic says.

A Kafka record carries a micro-batch: NDJSON, one event a line, all of one partition. Every event is one of three kinds,
told apart by the field ``kind``: an observation, a trace update or a score. The contract grows by addition only: a reader ignores fields it does
not know, a writer may leave out any field that has a default, and ``CONTRACT_VERSION`` rises with each addition.

Units: times are integer microseconds since the Unix epoch, UTC (``*_us``); money is integer picodollars (1e-12 USD).
Texts (``input``, ``output``) are kept as the client sent them: a string as it is, anything else as its JSON text.
``metadata`` and ``model_parameters`` are the JSON text of an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

CONTRACT_VERSION: Final = 1

ObservationType = Literal[
    "SPAN",
    "GENERATION",
    "EVENT",
    "AGENT",
    "TOOL",
    "CHAIN",
    "RETRIEVER",
    "EVALUATOR",
    "EMBEDDING",
    "GUARDRAIL",
]
Level = Literal["DEBUG", "DEFAULT", "WARNING", "ERROR"]
ScoreDataType = Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]
ScoreSource = Literal["API", "EVAL", "ANNOTATION"]

DEFAULT_ENVIRONMENT: Final = "default"

COUNT_MAX: Final = 10**9
"""Units of one usage type of one observation: no call uses more, and totals of honest counts fit into 64 bits."""
COST_MAX_PICO: Final = 100_000 * 10**12
"""A hundred thousand dollars for one observation: nobody's call costs more."""


def is_cost(cost: Mapping[str, int]) -> bool:
    """Whether a given cost may be one: its parts together, and its ``total``, are at most ``COST_MAX_PICO``."""
    total_pico = cost.get("total", 0)
    return total_pico <= COST_MAX_PICO and sum(cost.values()) - total_pico <= COST_MAX_PICO


class TraceAttributes(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What an event says about its trace. ``None`` says nothing; the latest statement (by ``ts_us``) wins, tags unite,
    metadata merges key by key.
    """

    name: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    release: str | None = None
    version: str | None = None
    public: bool | None = None
    tags: tuple[str, ...] | None = None
    metadata: str | None = None
    input: str | None = None
    output: str | None = None
    start_us: int | None = None
    external_id: str | None = None


class Observation(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="observation"
):
    """One operation of an application: a span, a generation, a tool call …

    ``partial=False``: the event is the whole observation and replaces what was known of it.
    ``partial=True``: fields that are not ``None`` are statements made at ``ts_us``; per field the latest statement wins.

    ``usage`` counts units by type in buckets that do not overlap (``input`` excludes cached tokens, ``output`` excludes reasoning tokens); ``total`` may be given.
    Each count is at most ``COUNT_MAX``.
    ``cost`` is a cost that the client gave, in picodollars by usage type; it outranks a computed one. It meets ``is_cost``.
    """

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
    usage: dict[str, int] | None = None
    cost: dict[str, int] | None = None
    input: str | None = None
    output: str | None = None
    metadata: str | None = None
    prompt_name: str | None = None
    prompt_version: int | None = None
    service_name: str | None = None
    scope_name: str | None = None
    scope_version: str | None = None
    app_root: bool = False
    trace: TraceAttributes | None = None


class TraceUpdate(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="trace"
):
    """Statements about a trace, made at ``ts_us``, without an observation."""

    project_id: str
    trace_id: str
    ts_us: int
    environment: str | None = None
    trace: TraceAttributes


class Score(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind", tag="score"
):
    """A judgement of a trace, an observation, a session or a run; the same ``id`` replaces."""

    project_id: str
    id: str
    ts_us: int
    name: str
    data_type: ScoreDataType
    value: float | None = None
    string_value: str | None = None
    trace_id: str | None = None
    observation_id: str | None = None
    session_id: str | None = None
    dataset_run_id: str | None = None
    source: ScoreSource = "API"
    environment: str | None = None
    comment: str | None = None
    metadata: str | None = None
    config_id: str | None = None
    queue_id: str | None = None
    author_user_id: str | None = None


Event = Observation | TraceUpdate | Score

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """One event as one line of JSON, without the newline."""
    return _encoder.encode(event)


def decode_event(line: bytes | memoryview) -> Event:
    """The event of one line.

    Raises:
        msgspec.DecodeError: the line is not JSON.
        msgspec.ValidationError: it is JSON, but no event; the message names the field.
    """
    return _decoder.decode(line)
